"""The parent of several workers: starts them, starts again what crashed, replaces them in turn.

Each worker is a fresh process, which loads the program as it is on disk then, with a node of its
own. The parent holds the sockets that they listen on, and no connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field

from broadcasting.server.listening import Listening
from broadcasting.server.offspring import Worker, said, start

logger = logging.getLogger("broadcasting.server")

REQUESTS_REMEMBERED = 100
"""Every worker passes on that all are to restart; so many requests are told apart."""


class CannotStart(Exception):
    """A worker cannot be had, or ended before it served for the first time; the message says
    which, and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How patient a parent is. Durations in seconds."""

    start: float = 60
    """For a worker to listen, and to be ready."""

    first_delay: float = 0.5
    """Before a worker that crashed is started again; each further time twice as long."""

    longest_delay: float = 30
    steady: float = 60
    """A worker that ran so long has not crashed because of how it was started."""

    lend: float = 1
    """A worker that is away for longer gives its place at the port to the others."""

    drain: float = 40
    """For a worker to end that was told to; then it is killed."""

    hurry: float = 3
    """The same, when nobody has time."""


@dataclass(slots=True, kw_only=True)
class Place:
    """One worker's place: its number, what it listens on, and who has it now."""

    number: int
    listening: Listening
    worker: Worker | None = None
    delay: float = 0
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """Runs until it is told to stop."""

    def __init__(
        self,
        command: Sequence[str],
        listenings: Iterable[Listening],
        announce: Callable[[], object],
        pace: Pace,
    ) -> None:
        """``command`` becomes a worker by what stands in its environment.

        ``listenings``: one for each worker. ``announce`` is called when all of them listen.
        """
        self._command = command
        self._places = [
            Place(number=number, listening=listening)
            for number, listening in enumerate(listenings, 1)
        ]
        self._announce = announce
        self._pace = pace
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._to_replace = asyncio.Event()
        self._requests = deque[str](maxlen=REQUESTS_REMEMBERED)
        self._workers: set[Worker] = set()
        """Those whose end was not seen yet."""

        self._starting: set[asyncio.Task[Worker]] = set()

    async def run(self) -> None:
        """Keep the workers until a signal says stop. Raises CannotStart, CannotListen."""
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._to_replace.set)
        try:
            await self._unless_stopped([self._start_all()])
            await self._unless_stopped(
                [*(self._keep(place) for place in self._places), self._replace_when_asked()]
            )
        finally:
            self._stopping.set()
            await self._end_all()

    def stop(self) -> None:
        """Let every worker drain; a second time: at once."""
        if self._stopping.is_set():
            self._hurried.set()
        self._stopping.set()

    def asked(self, request: str, over: float) -> None:
        """Replace all workers some time in ``over`` seconds, once for each ``request``."""
        if request not in self._requests:
            self._requests.append(request)
            loop = asyncio.get_running_loop()
            loop.call_later(random.uniform(0, over), self._to_replace.set)  # noqa: S311

    async def _unless_stopped(self, jobs: Iterable[Coroutine[None, None, None]]) -> None:
        """Do ``jobs`` until one of them is done, or until we are told to stop."""
        tasks = [asyncio.create_task(job) for job in (*jobs, self._told_to_stop())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            done = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _told_to_stop(self) -> None:
        await self._stopping.wait()

    async def _start_all(self) -> None:
        starts = [self._start_first(place) for place in self._places]
        # All of them, so that none is left behind when the first one fails.
        for problem in await asyncio.gather(*starts, return_exceptions=True):
            if problem is not None:
                raise problem
        self._announce()

    async def _start_first(self, place: Place) -> None:
        worker = place.worker = await self._spawn(place, checked=True)
        if await worker.comes_to(worker.listens, self._pace.start):
            return
        code = await worker.end("now", self._pace.hurry)
        self._workers.discard(worker)
        raise CannotStart(
            f"Worker {place.number} ended while it started ({said(code)}): what it printed above"
            " says why."
        )

    async def _spawn(self, place: Place, *, checked: bool = False) -> Worker:
        """Raises CannotStart."""
        # Whoever is cancelled meanwhile must not leave a process that nobody knows.
        starting = asyncio.create_task(self._start(place, checked))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        return await asyncio.shield(starting)

    async def _start(self, place: Place, checked: bool) -> Worker:
        try:
            worker = await start(
                self._command, place.number, place.listening, self.asked, checked=checked
            )
        except OSError as problem:  # of a machine that has nothing left
            reason = problem.strerror or problem
            raise CannotStart(f"Worker {place.number} cannot be started: {reason}") from problem
        self._workers.add(worker)
        return worker

    async def _keep(self, place: Place) -> None:
        """Start the worker of one place again, whenever it ends without being told to."""
        while (worker := place.worker) is not None:
            if await worker.comes_to(worker.replaced):
                continue
            code = await worker.ended()
            self._workers.discard(worker)
            async with place.changing:
                if place.worker is worker:  # nobody has replaced it
                    logger.error("Worker %d ended (%s)", place.number, said(code))
                    await self._revive(place, worker)

    async def _revive(self, place: Place, ended: Worker) -> None:
        last: Worker | None = ended
        while True:
            place.delay = self._next_delay(place, last)
            logger.warning("Starting worker %d again in %.1f s", place.number, place.delay)
            is_long = place.delay > self._pace.lend
            with place.listening.lent() if is_long else contextlib.nullcontext():
                await asyncio.sleep(place.delay)
            try:
                last = await self._spawn(place)
            except CannotStart as problem:
                logger.error("%s", problem)
                last = None
                continue
            if await last.comes_to(last.listens, self._pace.start):
                place.worker = last
                return
            code = await last.end("now", self._pace.hurry)
            self._workers.discard(last)
            logger.error("Worker %d ended while it started (%s)", place.number, said(code))

    def _next_delay(self, place: Place, last: Worker | None) -> float:
        now = asyncio.get_running_loop().time()
        if last is not None and now - last.began >= self._pace.steady:
            return self._pace.first_delay
        return min(max(self._pace.first_delay, 2 * place.delay), self._pace.longest_delay)

    async def _replace_when_asked(self) -> None:
        while True:
            await self._to_replace.wait()
            self._to_replace.clear()
            logger.warning("Replacing %d workers, one after the other", len(self._places))
            for place in self._places:
                if not await self._replace(place):
                    break
            else:
                logger.warning("All workers were replaced")

    async def _replace(self, place: Place) -> bool:
        """Put a new worker in the place of one that serves until then; False: it stays."""
        async with place.changing:
            try:
                worker = await self._spawn(place)
            except CannotStart as problem:
                logger.error("%s: the old ones stay", problem)
                return False
            if not await worker.comes_to(worker.ready, self._pace.start):
                code = await worker.end("now", self._pace.hurry)
                self._workers.discard(worker)
                logger.error(
                    "The new worker %d did not become ready (%s): the old ones stay",
                    place.number,
                    said(code),
                )
                return False
            old, place.worker, place.delay = place.worker, worker, 0
        # Its successor may crash meanwhile, and is looked after.
        if old is not None:
            old.replaced.set()
            await old.end("replaced", self._pace.drain)
            self._workers.discard(old)
        return True

    async def _end_all(self) -> None:
        await asyncio.gather(*self._starting, return_exceptions=True)
        # While we hold them, those who come would wait for nobody. A path is of use until then.
        for place in self._places:
            place.listening.close_sockets()
        hurrying = asyncio.create_task(self._hurry_all())
        await asyncio.gather(*(one.end("stop", self._pace.drain) for one in self._workers))
        hurrying.cancel()
        for place in self._places:
            place.listening.leave()

    async def _hurry_all(self) -> None:
        await self._hurried.wait()
        for worker in self._workers:
            worker.tell("now")
        await asyncio.sleep(self._pace.hurry)
        for worker in self._workers:
            worker.kill()
