"""An event loop that several simulated processes share, under a clock that only jumps.

What a process does runs in a context of its own, so each callback can be told whose it is. One
process has its turn after the other, in an order that the seed decides; those that are frozen or
dead have none. When nobody has anything to do, it is at once as late as the next timer says.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

MOST_AT_ONCE = 12
"""Callbacks of one process before others may have their turn."""


class StandStill(AssertionError):
    """Somebody waits for what cannot happen any more."""


class Process:
    """What is frozen or killed as a whole."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_frozen = False
        self.is_dead = False
        self.ready: deque[events.Handle] = deque()
        self.tasks: set[asyncio.Task[Any]] = set()
        self.context = contextvars.Context()
        self.context.run(_current.set, self)

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call ``function`` as this process would, at once."""
        return self.context.copy().run(function, *args)

    def __repr__(self) -> str:
        return self.name


_current: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


def current() -> Process:
    """Return the process whose turn it is."""
    return _current.get()


class SimulatedLoop(asyncio.BaseEventLoop):
    """Every handle belongs to the process in whose context it was made."""

    # Of the base class, which the stubs leave out.
    _ready: deque[events.Handle]
    _scheduled: list[events.TimerHandle]

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._now = 0.0
        self.world = Process("world")
        self.processes = [self.world]
        self._living = [self.world]
        self.steps = 0
        self.set_task_factory(_make_task)  # type: ignore[arg-type]  # its stubs differ by version

    def time(self) -> float:
        return self._now

    def add(self, name: str) -> Process:
        """Begin a process."""
        process = Process(name)
        self.processes.append(process)
        self._living.append(process)
        return process

    def kill(self, process: Process) -> None:
        """Let ``process`` never run again."""
        process.is_dead = True
        self._living.remove(process)

    def raise_all(self) -> None:
        """Let all run again, the dead, too."""
        self._living = list(self.processes)
        for process in self._living:
            process.is_dead = process.is_frozen = False

    def _run_once(self) -> None:
        self._hand_out(self._ready)
        able = [process for process in self._living if process.ready and not process.is_frozen]
        if not able:
            self._jump()
            return
        random = self._rng.random
        process = able[0] if len(able) == 1 else able[int(random() * len(able))]
        for _ in range(int(random() * MOST_AT_ONCE) + 1):
            if not process.ready or process.is_frozen or process.is_dead:
                break
            handle = process.ready.popleft()
            if not handle.cancelled():
                self.steps += 1
                handle._run()
            # In the order in which it was asked for, behind what was asked for before.
            self._hand_out(self._ready)

    def _hand_out(self, handles: deque[events.Handle]) -> None:
        # What belongs to nobody is the world's.
        while handles:
            handle = handles.popleft()
            context: contextvars.Context = handle._context  # type: ignore[attr-defined]
            context.get(_current, self.world).ready.append(handle)

    def _jump(self) -> None:
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)
        if not self._scheduled:
            raise StandStill("nothing can happen any more")
        self._now = max(self._now, self._scheduled[0].when())
        while self._scheduled and self._scheduled[0].when() <= self._now:
            self._ready.append(heapq.heappop(self._scheduled))

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """They are left where they are until they are due."""

    def _process_events(self, event_list: object) -> None:
        raise NotImplementedError

    def _write_to_self(self) -> None:
        raise NotImplementedError


class Line:
    """One direction of a connection: what goes in comes out later, in the same order."""

    def __init__(self, loop: SimulatedLoop, rng: random.Random, slowest: float) -> None:
        """``slowest``: seconds that something may be on its way."""
        self._loop = loop
        self._rng = rng
        self._slowest = slowest
        self._last = 0.0

    def carry(self, arrive: Callable[..., object], *args: Any, to: Process | None = None) -> None:
        """Call ``arrive`` at the other end, where process ``to`` is; None: no process's."""
        # Mostly fast: most of what goes wrong needs things that happen at nearly one time.
        delay = self._slowest * self._rng.random() ** 3
        self._last = max(self._last + 1e-6, self._loop.time() + delay)
        process = to or self._loop.world
        self._loop.call_at(self._last, arrive, *args, context=process.context.copy())


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    **options: Any,
) -> asyncio.Task[T]:
    task = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    # The task of a process that never runs again must not be collected, which would run its end.
    process = (context or contextvars.copy_context()).get(_current)
    if process is not None:
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
    return task
