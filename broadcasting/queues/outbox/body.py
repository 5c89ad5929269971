"""What an entry of the outbox holds: a job with its payload and how it is to be run, as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from broadcasting.queues.base import JobOptions, Payload

VERSION: Final = 1


class UnreadableEntry(ValueError):
    """Not an entry, or of a version that this process does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One job on its way through the database."""

    job: str
    payload: Payload = field(repr=False)
    queue: str | None
    tries: int
    backoff: tuple[float, ...]
    timeout: float | None

    @classmethod
    def of(cls, job: str, payload: Payload, options: JobOptions) -> Body:
        """Return what is to be kept of a job that was pushed with ``options``."""
        return cls(
            job=job,
            payload=payload,
            queue=options.queue,
            tries=options.tries,
            backoff=options.backoff,
            timeout=options.timeout,
        )

    def to_text(self) -> str:
        """Return it as JSON text."""
        values: dict[str, Any] = {"v": VERSION}
        values |= {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Body:
        """Return what to_text() made. Raises UnreadableEntry for anything else."""
        try:
            values = json.loads(text)
            version = values.pop("v", None)
            if version != VERSION:
                raise UnreadableEntry(f"version {version}, this process knows {VERSION}")
            return cls(**values | {"backoff": tuple(values["backoff"])})
        except UnreadableEntry:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableEntry(f"{type(error).__name__}: {error}") from error
