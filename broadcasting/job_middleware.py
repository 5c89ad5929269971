"""Middleware of queued events: what stands around the job of an event that names it.

An event's ``middleware()`` returns callables ``(job, next_)``; each calls ``next_(job)``, or does
not, or releases the job to be done later. Shared state is kept in Django's cache.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from inspect import iscoroutinefunction
from typing import Final, NoReturn

from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.cache.backends.base import BaseCache

from broadcasting.exceptions import JobReleased, JobSkipped
from broadcasting.wording import name_of


@dataclass(frozen=True, slots=True, kw_only=True)
class EventJob:
    """The job that middleware stands around."""

    id: str
    """Of the dispatch."""

    label: str
    """Dotted path of the event class."""

    broadcaster: str

    def release(self, seconds: float) -> NoReturn:
        """Put the job back for ``seconds``. It counts as an attempt: see ``Meta.tries``."""
        raise JobReleased(f"{self.label} was put back by its middleware", seconds)

    def skip(self, reason: str) -> NoReturn:
        """Drop the job; the signal ``broadcast_skipped`` tells ``reason``."""
        raise JobSkipped(reason)


Next = Callable[[EventJob], None]
Middleware = Callable[[EventJob, Next], None]


def through(middleware: Iterable[Middleware], work: Next) -> Next:
    """Return ``work`` with ``middleware`` around it, the first one outermost.

    Raises TypeError for one that is async: nobody would await it, and the job would be lost.
    """
    for one in reversed([*middleware]):
        if iscoroutinefunction(one) or iscoroutinefunction(type(one).__call__):
            raise TypeError(f"Job middleware may not be async: {name_of(one)}")
        work = _around(one, work)
    return work


def _around(one: Middleware, inner: Next) -> Next:
    return lambda job: one(job, inner)


class RateLimited:
    """Let jobs with ``key`` through at a rate: ``RateLimited("mail", "10/m")``.

    ``rate``: a number per ``s``, ``m``, ``h`` or ``d``. Further ones are put back until the next
    period, or dropped with ``release=False``. Raises ValueError for any other rate.
    """

    def __init__(
        self, key: str, rate: str, *, release: bool = True, cache: str = DEFAULT_CACHE_ALIAS
    ) -> None:
        match = re.fullmatch(r"([1-9]\d*)/([smhd])", rate)
        if match is None:
            raise ValueError(f"A rate is written as '10/m', not {rate!r}")
        self.limit, self.seconds = int(match[1]), _PERIODS[match[2]]
        self.release = release
        self._key, self._cache = key, cache

    def __call__(self, job: EventJob, next_: Next) -> None:
        now = time.time()
        period = int(now // self.seconds)
        key = _key("rate", f"{self._key}:{period}")
        if _counted(caches[self._cache], key, self.seconds * 2) <= self.limit:
            next_(job)
        elif self.release:
            job.release((period + 1) * self.seconds - now)
        else:
            job.skip(f"rate limit of {self._key}")


class WithoutOverlapping:
    """Do one job with ``key`` at a time; others are put back for ``wait`` seconds.

    ``expires``: seconds after which a lock ends that a worker did not give back.
    """

    def __init__(
        self, key: str, *, wait: float = 1, expires: float = 60, cache: str = DEFAULT_CACHE_ALIAS
    ) -> None:
        self.wait, self.expires = wait, expires
        self._key, self._cache = key, cache

    def __call__(self, job: EventJob, next_: Next) -> None:
        cache, key = caches[self._cache], _key("overlap", self._key)
        if not cache.add(key, job.id, self.expires):
            job.release(self.wait)
        try:
            next_(job)
        finally:
            if cache.get(key) == job.id:
                cache.delete(key)


class ThrottlesExceptions:
    """After ``limit`` exceptions within ``seconds``, put jobs with ``key`` back until they passed.

    For something that is down: the others need not find out for themselves.
    """

    def __init__(
        self, key: str, limit: int, seconds: float, *, cache: str = DEFAULT_CACHE_ALIAS
    ) -> None:
        self.limit, self.seconds = limit, seconds
        self._key, self._cache = key, cache

    def __call__(self, job: EventJob, next_: Next) -> None:
        cache, key = caches[self._cache], _key("exceptions", self._key)
        if cache.get(key, 0) >= self.limit:
            job.release(self.seconds)
        try:
            next_(job)
        except (JobReleased, JobSkipped):
            raise
        except Exception:
            _counted(cache, key, self.seconds)
            raise


class Skip:
    """Drop the job where ``condition`` holds: ``Skip.when(lambda: settings.QUIET)``."""

    def __init__(self, condition: Callable[[], bool], *, wanted: bool) -> None:
        self._condition, self._wanted = condition, wanted

    @classmethod
    def when(cls, condition: Callable[[], bool]) -> Skip:
        """Drop it if ``condition()`` is true."""
        return cls(condition, wanted=True)

    @classmethod
    def unless(cls, condition: Callable[[], bool]) -> Skip:
        """Drop it if ``condition()`` is false."""
        return cls(condition, wanted=False)

    def __call__(self, job: EventJob, next_: Next) -> None:
        if bool(self._condition()) is self._wanted:
            job.skip("skipped by its middleware")
        next_(job)


def _counted(cache: BaseCache, key: str, seconds: float) -> int:
    """Return how often ``key`` was counted, this time too; it is forgotten after ``seconds``."""
    cache.add(key, 0, seconds)
    try:
        return cache.incr(key)
    except ValueError:  # the dummy cache keeps nothing, and others may have no room
        return 1


def _key(kind: str, name: str) -> str:
    # Hashed: caches refuse blanks, and names that are long.
    return f"broadcasting:{kind}:{sha256(name.encode()).hexdigest()}"


_PERIODS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
