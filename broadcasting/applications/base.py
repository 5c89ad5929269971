"""What a source of applications promises. Lookups are synchronous and must be cheap."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from broadcasting.protocol.application import Application


class BaseApplications(ABC):
    """Where tenants come from."""

    @abstractmethod
    def all(self) -> Sequence[Application]:
        """Return every application, the first one being the default."""

    def by_key(self, key: str) -> Application | None:
        """Return the application with the public ``key`` (case-sensitive), or None."""
        return next((a for a in self.all() if a.key == key), None)

    def by_id(self, app_id: str) -> Application | None:
        """Return the application with ``app_id``, or None."""
        return next((a for a in self.all() if a.id == app_id), None)
