"""Events that a worker renders: packed when they are handed on, with all that was decided."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from broadcasting.broadcasts import Broadcast, unread

logger = logging.getLogger("broadcasting.queue")

JOB: Final = "render"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An event on its way to a worker that renders it."""

    id: str
    event: dict[str, Any] = field(repr=False)
    """As ``references.pack()`` made it."""

    label: str
    broadcasters: tuple[str, ...]
    except_socket: str | None
    missing: str
    are_chosen: bool = True
    """Whether these broadcasters were said; else the event may have channels for others."""

    def to_payload(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"v": VERSION, **asdict(self), "broadcasters": [*self.broadcasters]}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Packed | None:
        """Return what ``payload`` holds, or None, counted and logged, if it cannot be read."""
        values = dict(payload)
        version = values.pop("v", None)
        if version != VERSION:
            unread(f"version {version}, this process knows {VERSION}")
            return None
        try:
            return cls(**values | {"broadcasters": tuple(values["broadcasters"])})
        except (KeyError, TypeError) as error:
            unread(str(error))
            return None

    def unrendered(self) -> Iterator[Broadcast]:
        """Yield what would have been sent, as far as it is known."""
        for alias in self.broadcasters:
            yield Broadcast(
                id=self.id,
                name="",
                channels=(),
                data="",
                broadcaster=alias,
                except_socket=self.except_socket,
                event_label=self.label,
            )
