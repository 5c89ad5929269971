"""Locks of unique events: in Django's cache, each with a token of its own and an end.

Taken when a job is pushed, given back by whoever does the job, or when nobody will.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from hashlib import sha256
from os import urandom
from typing import Any, Final, Literal

from django.core.cache import caches

LOCKED_JOB: Final = "locked"

logger = logging.getLogger("broadcasting.dispatching")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Somebody's right to have the one job of its kind."""

    cache: str
    """An alias of ``CACHES``, which every process of the site must share."""

    key: str
    token: str

    def release(self) -> None:
        """Give it back, unless it ran out and is somebody else's by now. Never raises."""
        try:
            if caches[self.cache].get(self.key) == self.token:
                caches[self.cache].delete(self.key)
        except Exception:
            # It ends by itself; the job is done all the same.
            logger.exception("The lock of a unique event could not be released")

    def to_payload(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"cache": self.cache, "key": self.key, "token": self.token}


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
    cache: str, label: str, unique_id: str, broadcaster: str, seconds: float
) -> Lock | None:
    """Return the lock, held for ``seconds`` at most, or None if somebody has it."""
    # Hashed: caches refuse blanks, and names that are long.
    named = sha256(f"{label}\n{unique_id}\n{broadcaster}".encode()).hexdigest()
    lock = Lock(cache=cache, key=f"broadcasting:unique:{named}", token=urandom(16).hex())
    return lock if caches[cache].add(lock.key, lock.token, seconds) else None
