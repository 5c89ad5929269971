"""What one hop came to, in words that hold no secret."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed", "skipped"]

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of an event's way."""

    name: str
    status: Status
    detail: str
    cure: str | None = None
    """What to change; None where nothing has to be."""

    milliseconds: float | None = None


class Verdict(Exception):
    """What a hop raises to end other than well: what it found and what to change."""

    status: Status = "failed"

    def __init__(self, detail: str, cure: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.cure = cure


class Failed(Verdict):
    """Events cannot pass here."""


class Doubtful(Verdict):
    """Events pass, but something is not as it should be."""

    status: Status = "warning"


class Skipped(Verdict):
    """This hop is not on the way of this project, or could not be reached."""

    status: Status = "skipped"


class Examiner:
    """Runs hops one at a time, with a clock, and keeps secrets out of what they say."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({s for s in secrets if s}, key=len, reverse=True)

    def examine(self, name: str, check: Callable[[], str]) -> Hop:
        """Return what ``check`` came to: its text, the Verdict it raised, or its crash."""
        started = time.perf_counter()
        status: Status = "ok"
        cure = None
        try:
            detail = check()
        except Verdict as verdict:
            status, detail, cure = verdict.status, verdict.detail, verdict.cure
        except Exception as error:  # a broken project is just what this is for
            status, detail = "failed", described(error)
            cure = "That came from your own code or a library: run the same step in a shell."
        took = (time.perf_counter() - started) * 1000
        return Hop(
            name=name,
            status=status,
            detail=self.redacted(detail),
            cure=None if cure is None else self.redacted(cure),
            milliseconds=None if status == "skipped" else round(took, 1),
        )

    def redacted(self, text: str) -> str:
        """Return ``text`` without passwords in URLs and without the given secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return _CREDENTIALS.sub("***@", text)


def described(error: BaseException) -> str:
    """Return an exception in one line."""
    words = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
