"""What every queue promises: to run a named job later, with a JSON payload.

A job is a function registered under a name, with an async twin where it has one; the
payload is plain JSON data. Queues know nothing of events, broadcasters or channels.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured

from broadcasting.durations import is_some_seconds
from broadcasting.exceptions import PublishError

Payload = dict[str, Any]
Job = Callable[[Payload], None]
AsyncJob = Callable[[Payload], Awaitable[None]]
FailedJob = Callable[[Payload, Exception], None]
Left = tuple[str, Payload]
LeftOfJob = Callable[[Payload, Exception], Left | None]

logger = logging.getLogger("broadcasting.queue")

DEFAULT_NAME = "broadcasts"
DEFAULT_EXPIRES = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How a job is to be run. Durations in seconds; None means the queue's own default."""

    queue: str | None = None
    tries: int = 3
    """Attempts in all, for transport errors only; a mistake in the program is not retried."""

    backoff: tuple[float, ...] = (1, 5)
    """Waits between attempts; the last one repeats."""

    expires: float | None = None
    """A job that has waited longer than this is dropped: old news is no news."""

    delay: float = 0
    """Seconds before it is due; ``expires`` counts from there."""

    timeout: float | None = None
    """Seconds that a worker gives it, where the queue can stop a job."""

    label: str = ""
    """What monitors and logs call the job; never its payload."""

    order: tuple[str, ...] = ()
    """Names of lines, such as channels, in none of which it may overtake; empty: it may always.
    Said only to a queue that ``keeps_order``."""

    using: str | None = None
    """Alias of the database in whose open transaction it was decided on; None: in none."""

    after_commit: bool = True
    """Whether it may wait for the commit of whatever transaction is open."""


class BaseQueue(ABC):
    """Run jobs later, here or in another process.

    A worker calls ``run()``. After an error it asks ``left_to_do()`` what to run again, and
    ``give_up()`` once nothing is or the attempts are used up.

    ``OPTIONS`` of every queue: ``queue``, where jobs wait that name none of their own (default
    ``broadcasts``); ``expires``, seconds after which those that name no other are dropped (60).
    """

    known_options: ClassVar[frozenset[str] | None] = None
    """Keys that ``OPTIONS`` may have; None: whatever the queue likes."""

    leaves_process: bool = True
    """Whether jobs run in another process than the one that pushed them."""

    runs_at_once: ClassVar[bool] = False
    """Whether push() does nothing but run the job, so that nobody need write its payload out."""

    supports_delay: bool = False
    """Whether jobs may be due later."""

    keeps_order: ClassVar[bool] = False
    """Whether jobs that share a line (see ``JobOptions.order``) are run one after the other."""

    uses_database: ClassVar[bool] = False
    """Whether push() writes to the database of the project, in the transaction that is open."""

    runs_beside_sockets: bool = False
    """Whether jobs may run in the process that holds the sockets, though it leaves others."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options
        self.default_name: str = options.get("queue", DEFAULT_NAME)
        """Where jobs wait that name no queue of their own."""

        self.default_expires = _seconds(options.get("expires", DEFAULT_EXPIRES))
        """How long jobs may wait that do not say."""

    def expires(self, options: JobOptions) -> float:
        """Return how many seconds a job with ``options`` may wait."""
        return self.default_expires if options.expires is None else options.expires

    @abstractmethod
    def push(self, job: str, payload: Payload, options: JobOptions) -> None:
        """Hand a job on. Raises QueueUnavailable.

        A queue with a transport of its own keeps to ``PUBLISH_TIMEOUT``.
        """

    @abstractmethod
    async def apush(self, job: str, payload: Payload, options: JobOptions) -> None:
        """See push(). A queue that runs jobs at once must not block the loop."""


def wait_before(retry: int, backoff: Sequence[float], error: Exception) -> float:
    """Return the seconds before ``retry``, the first one being 1: the error may know better."""
    if isinstance(error, PublishError) and error.retry_in is not None:
        return error.retry_in
    return backoff[min(retry, len(backoff)) - 1]


def _seconds(value: object) -> float:
    if not is_some_seconds(value):
        raise ImproperlyConfigured(
            f"BROADCASTING['QUEUE']['OPTIONS']['expires'] must be seconds above 0, not {value!r}"
        )
    return value


_jobs: dict[str, tuple[Job, AsyncJob | None]] = {}
_failed: dict[str, FailedJob] = {}
_left: dict[str, LeftOfJob] = {}


def register(
    name: str,
    job: Job,
    ajob: AsyncJob | None = None,
    failed: FailedJob | None = None,
    left: LeftOfJob | None = None,
) -> None:
    """Let workers find ``job`` by ``name``; ``ajob`` is its twin that never blocks a loop.

    ``failed`` is called with the payload and the error by a worker that will not try again;
    where the job runs in the process that pushed it, whoever pushed is told by the exception.
    ``left`` is asked with the same what is left to do for another attempt: the name and payload
    of a job, or None. Without it, all of it after a PublishError, and nothing after any other
    error, which is a mistake in the program.
    """
    _jobs[name] = (job, ajob)
    if failed is not None:
        _failed[name] = failed
    if left is not None:
        _left[name] = left


def left_to_do(name: str, payload: Payload, error: Exception) -> Left | None:
    """Return what another attempt at the job ``name`` is to run, or None if none will help.

    To be asked only if there will be one: what is not tried again is given up here.
    """
    left = _left.get(name)
    if left is not None:
        return left(payload, error)
    return (name, payload) if isinstance(error, PublishError) else None


def give_up(name: str, payload: Payload, error: Exception) -> None:
    """Tell whom it concerns that the job ``name`` failed for the last time. Never raises."""
    failed = _failed.get(name)
    if failed is None:
        return
    try:
        failed(payload, error)
    except Exception:
        logger.exception("What is to be done after the job %s failed has failed itself", name)


def run(name: str, payload: Payload) -> None:
    """Run the job ``name``; raise LookupError if this process does not know it."""
    job, _ = _find(name)
    job(payload)


async def arun(name: str, payload: Payload) -> None:
    """See run(). A job without an async twin runs in a thread."""
    job, ajob = _find(name)
    if ajob is None:
        await asyncio.to_thread(job, payload)
    else:
        await ajob(payload)


def _find(name: str) -> tuple[Job, AsyncJob | None]:
    try:
        return _jobs[name]
    except KeyError:
        raise LookupError(f"No job is called {name!r}") from None
