"""What the HTTP API of this process has done, as plain integers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """Since the process began, over all applications."""

    requests: int = 0
    """Requests for one of our paths, answered in any way."""

    events: int = 0
    """Events taken; an event for many channels is one."""

    refused: int = 0
    """Requests answered with 4xx."""

    unauthorized: int = 0
    """Of these, requests that were not signed as they must be (401)."""

    too_large: int = 0
    """Of these, requests whose body, or the data in it, was too large (413)."""

    replayed: int = 0
    """Of these, requests whose signature had been used (409)."""

    limited: int = 0
    """Of these, requests over their application's rate (429)."""

    repeated: int = 0
    """Publishes that were not published again, since their key had been seen."""

    failed: int = 0
    """Requests answered with 5xx."""


counters = Counters()
"""Of this process."""
