"""Handlers of what clients whisper: ``@on_client_event("private-chat.*", "client-typing")``.

They are called in the process that holds the sockets, by a thread of its own, one after the
other in the order in which the whispers came. They look on: what they do changes nothing for
those who whisper.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property, partial
from inspect import isawaitable, unwrap
from typing import Any, TypeVar

from asgiref.sync import async_to_sync

from broadcasting.occurrences import Occurrence
from broadcasting.protocol.application import Application
from broadcasting.serial import Serial
from broadcasting.wording import name_of

logger = logging.getLogger("broadcasting.client_events")

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientEventMessage:
    """What a client whispered, as a handler gets it."""

    app_id: str
    channel: str
    """The whole name, with its prefix."""

    event: str
    text: str
    """The data as webhooks tell it: text as it was sent, anything else as JSON."""

    user_id: str | None
    """Who whispered, on a presence channel; None on a private one."""

    socket_id: str

    @property
    def data(self) -> Any:
        """The data as pusher-js shows it: decoded where it is JSON, else the text."""
        try:
            return json.loads(self.text)
        except ValueError:
            return self.text


class HandlerEntry:
    """One registered handler."""

    def __init__(self, channel: str, event: str, handler: Callable[..., Any]) -> None:
        self.channel = channel
        self.event = event
        self.handler = handler

    @property
    def name(self) -> str:
        """The dotted path of the function, for people."""
        return name_of(self.handler)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        return re.compile(translate(self.channel)), re.compile(translate(self.event))

    def takes(self, channel: str, event: str) -> bool:
        """Whether this handler is for ``event`` in ``channel``."""
        in_channel, of_event = self._patterns
        return in_channel.match(channel) is not None and of_event.match(event) is not None

    def is_replaced_by(self, other: HandlerEntry) -> bool:
        """Whether ``other`` is this one again: the same, or its module was loaded again.

        Two methods, closures or functions of one name are two handlers.
        """
        if (self.channel, self.event) != (other.channel, other.event):
            return False
        if self.handler == other.handler:
            return True
        own, new = (getattr(unwrap(entry.handler), "__code__", None) for entry in (self, other))
        # Whatever one loading of a module makes of a function has the very same code.
        return own is not None and own is not new and _place(own) == _place(new)

    def call(self, message: ClientEventMessage) -> None:
        """Run the handler; what it raises is logged, since others are waiting."""
        try:
            result = self.handler(message)
            # Not told by the handler: objects and partials may be async as well.
            if isawaitable(result):
                async_to_sync(_finish)(result)
        except BaseException:  # a cancelled task, or sys.exit(): not the thread's end
            logger.exception("%s failed with %s", self.name, message.event)


def _place(code: Any) -> tuple[Any, ...]:
    # With what it does, since one line may hold two lambdas.
    names = ("co_filename", "co_firstlineno", "co_name", "co_code", "co_consts", "co_names")
    return tuple(getattr(code, name, None) for name in names)


async def _finish(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


class Handlers:
    """Every handler, in order of registration, which is the order of calling."""

    def __init__(self) -> None:
        self._entries: tuple[HandlerEntry, ...] = ()

    def __iter__(self) -> Iterator[HandlerEntry]:
        return iter(self._entries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, entry: HandlerEntry) -> None:
        """Register ``entry``; a module that is loaded again replaces its own."""
        kept = (old for old in self._entries if not old.is_replaced_by(entry))
        self._entries = (*kept, entry)

    @contextmanager
    def isolated(self) -> Iterator[Handlers]:
        """Begin with no handlers and forget what is registered meanwhile; for tests."""
        kept, self._entries = self._entries, ()
        try:
            yield self
        finally:
            self._entries = kept


handlers = Handlers()
serial = Serial("broadcasting-client-events", "client events", logger)


def on_client_event(channel: str, event: str = "client-*") -> Callable[[_Handler], _Handler]:
    """Call the decorated function, sync or async, with each whisper that matches.

    ``channel`` and ``event`` are patterns with ``*``, ``?`` and ``[...]``, as file names have
    them; the channel's prefix (``private-`` or ``presence-``) is part of its name. The function
    gets one argument, a ClientEventMessage. What it raises is logged, and hides no other.
    """
    if callable(channel):  # without parentheses
        raise TypeError('Write @on_client_event("private-chat.*", "client-typing")')

    def register(handler: _Handler) -> _Handler:
        handlers.add(HandlerEntry(channel, event, handler))
        return handler

    return register


class ClientEventObserver:
    """Calls the handlers; without any it costs nothing."""

    def wants(self, application: Application, name: str) -> bool:
        return name == "client_event" and bool(handlers)

    def tell(self, occurrence: Occurrence) -> None:
        channel, event = occurrence.channel or "", occurrence.event or ""
        # Asked here already: whispers that nobody is for must not fill the queue.
        entries = [entry for entry in handlers if entry.takes(channel, event)]
        if entries:
            serial.submit(partial(_call, entries, occurrence))


def _call(entries: list[HandlerEntry], occurrence: Occurrence) -> None:
    message = ClientEventMessage(
        app_id=occurrence.application.id,
        channel=occurrence.channel or "",
        event=occurrence.event or "",
        text=occurrence.data or "",
        user_id=occurrence.user_id,
        socket_id=occurrence.socket_id or "",
    )
    for entry in entries:
        entry.call(message)


observer = ClientEventObserver()
