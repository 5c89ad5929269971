"""Locks of unique events: in Django's cache, each with a token of its own and an end.

Taken when a job is pushed, given back by whoever does the job, or when nobody will.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from hashlib import sha256
from os import urandom
from typing import Any, Final, Literal

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.redis import RedisCache

LOCKED_JOB: Final = "locked"
AT_WORK: Final = 60
"""Seconds that a worker may need for a job which has no ``timeout``."""

_MARGIN: Final = 1
"""Seconds that looking at a lock and deleting it may take."""

logger = logging.getLogger("broadcasting.dispatching")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Somebody's right to have the one job of its kind."""

    cache: str
    """An alias of ``CACHES``, which every process of the site must share."""

    key: str
    token: str
    ends: float
    """When it runs out, in seconds since the epoch."""

    def release(self) -> None:
        """Give it back, unless it ran out and is somebody else's by now. Never raises.

        In its last second it is left to run out: the next one may have it any moment.
        """
        if time.time() > self.ends - _MARGIN:
            return
        try:
            _delete_own(caches[self.cache], self.key, self.token)
        except Exception:
            # It ends by itself; the job is done all the same.
            logger.exception("The lock of a unique event could not be released")

    def to_payload(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"cache": self.cache, "key": self.key, "token": self.token, "ends": self.ends}


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A job that gives a lock back."""

    lock: Lock
    job: str
    payload: dict[str, Any] = field(repr=False)
    unique: bool | Literal["until_processing"]

    def to_payload(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "lock": self.lock.to_payload(),
            "job": self.job,
            "payload": self.payload,
            "unique": self.unique,
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Locked:
        """Return what to_payload() made of it. Raises KeyError or TypeError for anything else."""
        return cls(
            lock=Lock(**payload["lock"]),
            job=payload["job"],
            payload=payload["payload"],
            unique=payload["unique"],
        )


def acquire(
    cache: str, label: str, unique_id: str, broadcasters: str, seconds: float
) -> Lock | None:
    """Return the lock, held for ``seconds`` at most, or None if somebody has it."""
    # Hashed: caches refuse blanks, and names that are long.
    named = sha256(f"{label}\n{unique_id}\n{broadcasters}".encode()).hexdigest()
    lock = Lock(
        cache=cache,
        key=f"broadcasting:unique:{named}",
        token=urandom(16).hex(),
        ends=time.time() + seconds,
    )
    return lock if caches[cache].add(lock.key, lock.token, seconds) else None


def _delete_own(cache: BaseCache, key: str, token: str) -> None:
    """Delete ``key`` if it still holds ``token``: in one step where the cache can.

    Any other cache is asked twice, in between which the lock could only run out; see _MARGIN.
    """
    if isinstance(cache, RedisCache):
        # Django has no such operation; what it uses itself is the client and the serializer.
        within: Any = cache._cache
        name, held = cache.make_and_validate_key(key), within._serializer.dumps(token)
        within.get_client(name, write=True).eval(_DELETE_OWN, 1, name, held)
    elif cache.get(key) == token:
        cache.delete(key)


_DELETE_OWN: Final = """
if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end
return 0
"""
