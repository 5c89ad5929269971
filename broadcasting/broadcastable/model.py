"""What models inherit. A plain mixin: no fields, no migrations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import Model
from django.db.models.signals import class_prepared

from broadcasting.broadcastable.events import ModelBroadcast
from broadcasting.broadcastable.memory import Written, changes_of, remembered
from broadcasting.broadcastable.options import Changes, ModelOptions, model_options
from broadcasting.broadcastable.receivers import connect
from broadcasting.channels import Targets, TargetsByBroadcaster
from broadcasting.dispatching import Dispatch

_muted: ContextVar[tuple[type, ...]] = ContextVar("broadcasting_muted_models", default=())


class BroadcastsEvents:
    """A model whose rows broadcast that they were created, updated and deleted.

    ::

        class Post(BroadcastsEvents, models.Model):
            title = models.CharField(max_length=100)

            class BroadcastMeta:
                fields = ["id", "title"]

    By default ``PostCreated``, ``PostUpdated`` and ``PostDeleted`` go to the row's own private
    channel ``blog.Post.1`` with ``{"model": {...}}``, after the commit: what Echo's
    ``useEchoModel`` understands. Bulk operations of querysets are silent, as they are to
    Django's own signals.
    """

    # Migrations of the models write down where their bases are; that must never move.
    __module__ = "broadcasting"

    _broadcastable: ClassVar[ModelOptions] = ModelOptions()
    BroadcastEvent: ClassVar[type[ModelBroadcast]] = ModelBroadcast
    """The event of this very model, for listeners and tests."""

    _broadcasting_loaded: dict[str, Any] | None = None
    """What was last read from or written to the database, where that matters."""

    _broadcasting_written: Written | None = None
    """The save that it is from, if it was not read."""

    # -- hooks ------------------------------------------------------------------------------

    def broadcast_on(self, event: str) -> Targets | TargetsByBroadcaster:
        """Return where ``event`` (``created``, ``updated``, ...) goes; None for nowhere."""
        own: Any = self
        targets: Targets = own
        return targets

    def broadcast_as(self, event: str) -> str | None:
        """Return the name clients listen to; None for ``PostCreated`` and the like."""
        return None

    def broadcast_with(self, event: str) -> Any:
        """Return the whole payload; None for ``{"model": {...}}`` of the declared fields."""
        return None

    def prepare_broadcast(self, dispatch: Dispatch, event: str) -> Dispatch:
        """Return ``dispatch`` with what is to be said about it, such as ``.to_others()``."""
        return dispatch

    # -- by hand ----------------------------------------------------------------------------

    def broadcast_event(self, event: str, *, on: Targets = None) -> None:
        """Broadcast ``event`` of this row now: any word, ``published`` becomes PostPublished.

        ``on``: channels in place of ``broadcast_on()``. Raises what ``dispatch()`` raises.
        """
        self._dispatch_of(event, on).dispatch()

    async def abroadcast_event(self, event: str, *, on: Targets = None) -> None:
        """See broadcast_event()."""
        await self._dispatch_of(event, on).adispatch()

    def broadcast_created(self, *, on: Targets = None) -> None:
        """Broadcast that the row was created, as ``save()`` would."""
        self.broadcast_event("created", on=on)

    def broadcast_updated(self, *, on: Targets = None) -> None:
        """Broadcast that the row was updated, for instance after ``QuerySet.update()``."""
        self.broadcast_event("updated", on=on)

    def broadcast_deleted(self, *, on: Targets = None) -> None:
        """Broadcast that the row was deleted."""
        self.broadcast_event("deleted", on=on)

    def broadcast_trashed(self, *, on: Targets = None) -> None:
        """Broadcast that the row was deleted softly."""
        self.broadcast_event("trashed", on=on)

    def broadcast_restored(self, *, on: Targets = None) -> None:
        """Broadcast that the row, which was deleted softly, is back."""
        self.broadcast_event("restored", on=on)

    async def abroadcast_created(self, *, on: Targets = None) -> None:
        """See broadcast_created()."""
        await self.abroadcast_event("created", on=on)

    async def abroadcast_updated(self, *, on: Targets = None) -> None:
        """See broadcast_updated()."""
        await self.abroadcast_event("updated", on=on)

    async def abroadcast_deleted(self, *, on: Targets = None) -> None:
        """See broadcast_deleted()."""
        await self.abroadcast_event("deleted", on=on)

    async def abroadcast_trashed(self, *, on: Targets = None) -> None:
        """See broadcast_trashed()."""
        await self.abroadcast_event("trashed", on=on)

    async def abroadcast_restored(self, *, on: Targets = None) -> None:
        """See broadcast_restored()."""
        await self.abroadcast_event("restored", on=on)

    @classmethod
    @contextmanager
    def broadcasting_muted(cls) -> Iterator[None]:
        """Let rows of this model say nothing inside, as ``broadcasting.muted()`` does for all."""
        token = _muted.set((*_muted.get(), cls))
        try:
            yield
        finally:
            _muted.reset(token)

    @classmethod
    def is_broadcasting_muted(cls) -> bool:
        """Whether rows of this model say nothing here and now."""
        return any(issubclass(cls, muted) for muted in _muted.get())

    # -- what was loaded --------------------------------------------------------------------

    if not TYPE_CHECKING:
        # Hidden from type checkers, to which a mixin's may not differ from Model's own.

        @classmethod
        def from_db(cls, db, field_names, values, **kwargs):  # Django 6.1 has one more
            row = super().from_db(db, field_names, values, **kwargs)
            row.remember_loaded()
            return row

        def refresh_from_db(self, using=None, fields=None, from_queryset=None):
            names = None if fields is None else [*fields]
            super().refresh_from_db(using, names, from_queryset)
            self.remember_loaded(names)

    def remember_loaded(
        self, only: Iterable[str] | None = None, *, saved_to: str | None = None
    ) -> None:
        """Keep what the database holds, for the next save to be compared with.

        ``only``: the names of the fields that were read or written; None: all. ``saved_to``: the
        alias of the database, if they were written.
        """
        if self._broadcastable.remembers:
            row: Any = self
            self._broadcasting_loaded = remembered(row, self._known_to_be_there(), only)
            if saved_to is not None:
                self._broadcasting_written = Written(saved_to)
            elif only is None:
                self._broadcasting_written = None

    def changes_since_loaded(self, only: Iterable[str] | None = None) -> Changes | None:
        """Return what a save changed, or None if nobody knows what was there before.

        ``only``: the names of the fields that were saved; None: all.
        """
        loaded = self._known_to_be_there()
        row: Any = self
        return None if loaded is None else changes_of(row, loaded, only)

    def _known_to_be_there(self) -> dict[str, Any] | None:
        written = self._broadcasting_written
        return self._broadcasting_loaded if written is None or written.is_there() else None

    def _dispatch_of(self, event: str, on: Targets) -> Dispatch:
        quiet = self.is_broadcasting_muted()
        dispatch = Dispatch(self.BroadcastEvent(self, event, on), is_muted=quiet)
        return self.prepare_broadcast(dispatch, event)


def prepare(sender: type[Model], **kwargs: object) -> None:
    """Give a model that was just made its options, its event and its receivers.

    Raises TypeError for a mistake in its ``BroadcastMeta``.
    """
    if not issubclass(sender, BroadcastsEvents) or sender._meta.abstract:
        return
    if sender.__module__ == "__fake__":  # a model as a migration knows it: without options, silent
        return
    options = model_options(sender)
    sender._broadcastable = options
    event = type(
        "BroadcastEvent",
        (ModelBroadcast,),
        {
            "__module__": sender.__module__,
            "__qualname__": f"{sender.__qualname__}.BroadcastEvent",
            "__doc__": f"Something happened to a {sender.__name__}.",
        },
    )
    event._broadcasting = options.event  # type: ignore[attr-defined]
    sender.BroadcastEvent = event
    connect(sender)


class_prepared.connect(prepare, dispatch_uid="broadcasting.broadcastable")
