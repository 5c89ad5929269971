from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from broadcasting.applications import Application, BaseApplications


class FileApplications(BaseApplications):
    """What stands in a JSON file right now: a source that changes while the server runs."""

    def __init__(self) -> None:
        self._path = Path(os.environ["LIVE_APPLICATIONS"])
        self._read = -1
        self._applications: tuple[Application, ...] = ()

    def all(self) -> Sequence[Application]:
        changed = self._path.stat().st_mtime_ns
        if changed != self._read:
            self._read = changed
            self._applications = tuple(
                Application(**entry) for entry in json.loads(self._path.read_text())
            )
        return self._applications
