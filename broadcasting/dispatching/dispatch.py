"""One dispatch: an event and what was said about this one sending of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace as with_options
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import msgspec
from asgiref.sync import sync_to_async
from msgspec.structs import replace

from broadcasting.broadcasters import BaseBroadcaster
from broadcasting.dispatching.bridge import loop_is_running, submit_to_waiting_thread
from broadcasting.dispatching.failures import logger
from broadcasting.dispatching.models import database_of, keys_of
from broadcasting.dispatching.muting import is_muted
from broadcasting.dispatching.options import EventOptions, said_in_call
from broadcasting.dispatching.outgoing import Batch, Outgoing, copy_of, subject_of
from broadcasting.dispatching.outlet import Outlet, outlet_for
from broadcasting.dispatching.transactions import open_transaction
from broadcasting.listeners import calling
from broadcasting.listeners.registry import listeners
from broadcasting.middleware import current_socket_id

if TYPE_CHECKING:
    from broadcasting.events import ShouldBroadcast

Via: TypeAlias = Union[str, BaseBroadcaster, Iterable[str | BaseBroadcaster]]  # noqa: UP007


class Dispatch(msgspec.Struct, frozen=True):
    """An event about to be sent. Modifiers return a copy; only dispatch() acts."""

    event: ShouldBroadcast
    broadcasters: tuple[str, ...] | None = None
    built: tuple[BaseBroadcaster, ...] = ()
    queue: str | None = None
    at_once: bool = False
    wait: float | None = None
    patience: float | None = None
    database: str | None = None
    """Whose transaction to wait for, where that is known better than from the event."""

    is_muted: bool = False
    """Whether it is to be dropped, whatever muted() says."""
    says_itself: bool = False
    """Whether it holds what it has to say, so that no worker needs to look for its rows."""

    others_only: bool | None = None
    socket_id: str | None = None

    def to_others(self, socket_id: str | None = None) -> Dispatch:
        """Leave out the tab that asked (``X-Socket-ID``), or the one with ``socket_id``."""
        return replace(self, others_only=True, socket_id=socket_id)

    def to_everyone(self) -> Dispatch:
        """Undo ``to_others``, of the event's ``Meta`` too."""
        return replace(self, others_only=False, socket_id=None)

    def via(self, *broadcasters: str | BaseBroadcaster) -> Dispatch:
        """Send through these aliases of ``BROADCASTERS``; none: those of the event.

        What ``broadcasters.build()`` made may stand among them: it sends from this process,
        without the queue. Raises TypeError for anything else.
        """
        aliases = tuple([one for one in broadcasters if isinstance(one, str)])
        built = tuple([one for one in broadcasters if isinstance(one, BaseBroadcaster)])
        if len(aliases) + len(built) < len(broadcasters):
            kinds = ", ".join(sorted({type(one).__name__ for one in broadcasters}))
            raise TypeError(f"via() takes aliases of BROADCASTERS, and broadcasters, not {kinds}")
        return replace(self, broadcasters=aliases if broadcasters else None, built=built)

    def on_queue(self, name: str) -> Dispatch:
        """Push on this queue instead of the event's."""
        return replace(self, queue=name)

    def delay(self, seconds: float) -> Dispatch:
        """Let its job be due ``seconds`` later. Needs a queue that can wait (not ``sync``).

        Raises TypeError for what is no number of seconds.
        """
        return replace(self, wait=said_in_call("delay", seconds))

    def expires(self, seconds: float) -> Dispatch:
        """Drop its job if it is still waiting ``seconds`` after it was due.

        Raises TypeError for what is no number of seconds.
        """
        return replace(self, patience=said_in_call("expires", seconds))

    def now(self) -> Dispatch:
        """Send in this process, without the queue (still after the commit)."""
        return replace(self, at_once=True)

    def dispatch(self) -> None:
        """See ShouldBroadcast.dispatch()."""
        outgoing = self._decide()
        outlet = self._outlet_for(outgoing)
        if outlet is None and not listeners.of(type(outgoing.subject)):
            return
        if not loop_is_running() or not submit_to_waiting_thread(
            partial(_dispatch_alone, outgoing, outlet)
        ):
            _dispatch(outgoing, outlet)

    async def adispatch(self) -> None:
        """See ShouldBroadcast.adispatch()."""
        outgoing = self._decide()
        outlet = self._outlet_for(outgoing)
        if outlet is not None:
            # The thread in which Django's async code keeps its connections and transactions.
            batch = await sync_to_async(_begin, thread_sensitive=True)(outgoing, outlet)
            if batch is not None:
                await outlet.ahand_on(batch)
        if heard_by := listeners.of(type(outgoing.subject)):
            await calling.acall(heard_by, outgoing)

    def _outlet_for(self, outgoing: Outgoing) -> Outlet | None:
        """Return where it leaves, or None, with a trace in the log, if it is muted."""
        if self.is_muted or is_muted():
            tell_muted(outgoing)
            return None
        return outlet_for(outgoing)

    def _decide(self) -> Outgoing:
        options = _options_of(self.event)
        others = options.to_others if self.others_only is None else self.others_only
        return Outgoing(
            event=copy_of(self.event),
            options=self._options(options),
            queue=self.queue,
            built=self.built,
            except_socket=(self.socket_id or current_socket_id()) if others else None,
        )

    def _options(self, options: EventOptions) -> EventOptions:
        changes: dict[str, Any] = {}
        if self.broadcasters is not None:
            changes["broadcasters"] = self.broadcasters
        if self.at_once:
            # The delay of the class is for its queue.
            changes |= {"now": True, "delay": 0}
        if self.wait is not None:
            changes["delay"] = self.wait
        if self.patience is not None:
            changes["expires"] = self.patience
        if self.database is not None and options.using is None:
            changes["using"] = self.database
        if self.says_itself:
            changes["render"] = "commit"
        return with_options(options, **changes) if changes else options


def broadcast(
    event: ShouldBroadcast | Dispatch,
    *,
    to_others: bool = False,
    via: Via | None = None,
    now: bool = False,
    queue: str | None = None,
    delay: float | None = None,
) -> None:
    """Dispatch ``event``, as its own ``.dispatch()`` with the modifiers of the same names.

    ``via``: an alias of ``BROADCASTERS``, what ``broadcasters.build()`` made, or several. Raises
    TypeError for what is not a ShouldBroadcast, and whatever ``dispatch()`` raises.
    """
    sent = event if isinstance(event, Dispatch) else Dispatch(event)
    modified(sent, to_others, via, now, queue, delay).dispatch()


async def abroadcast(
    event: ShouldBroadcast | Dispatch,
    *,
    to_others: bool = False,
    via: Via | None = None,
    now: bool = False,
    queue: str | None = None,
    delay: float | None = None,
) -> None:
    """See broadcast()."""
    sent = event if isinstance(event, Dispatch) else Dispatch(event)
    await modified(sent, to_others, via, now, queue, delay).adispatch()


def modified(
    dispatch: Dispatch,
    to_others: bool,
    via: Via | None,
    now: bool,
    queue: str | None,
    delay: float | None = None,
) -> Dispatch:
    """Return ``dispatch`` with the modifiers that arguments of these names ask for."""
    if to_others:
        dispatch = dispatch.to_others()
    if via is not None:
        dispatch = dispatch.via(*([via] if isinstance(via, str | BaseBroadcaster) else via))
    if now:
        dispatch = dispatch.now()
    if queue is not None:
        dispatch = dispatch.on_queue(queue)
    if delay is not None:
        dispatch = dispatch.delay(delay)
    return dispatch


def _options_of(event: Any) -> EventOptions:
    """Return what the class of an event says. Raises TypeError for what is none to dispatch."""
    options = getattr(type(subject_of(event)), "_broadcasting", None)
    kind = type(event).__name__  # no more of it: it may hold what must not be logged
    if not isinstance(options, EventOptions):
        raise TypeError(
            f"Only a ShouldBroadcast can be broadcast, not a {kind};"
            " make the event first: OrderShipped(order).dispatch()"
        )
    if getattr(event, "_needs_notify", False):
        raise TypeError(f"{kind} is a notification: send it with notify(user, {kind}(...))")
    return options


def tell_muted(outgoing: Outgoing) -> None:
    """Leave a trace of an event that was dropped on purpose."""
    logger.debug("%s was dispatched inside muted(), and dropped", outgoing.label)


def _dispatch(outgoing: Outgoing, outlet: Outlet | None) -> None:
    if outlet is not None:
        _hand_on(outgoing, outlet)
    if heard_by := listeners.of(type(outgoing.subject)):
        calling.call(heard_by, outgoing)


def _dispatch_alone(outgoing: Outgoing, outlet: Outlet | None) -> None:
    """See _dispatch(), for a thread in which nobody is left to raise at."""
    if outlet is not None:
        try:
            _hand_on(outgoing, outlet)
        except Exception as error:
            outlet.fail(outgoing, error)
            return
    if heard_by := listeners.of(type(outgoing.subject)):
        calling.call_alone(heard_by, outgoing)


def _hand_on(outgoing: Outgoing, outlet: Outlet) -> None:
    batch = _begin(outgoing, outlet)
    if batch is not None:
        outlet.hand_on(batch)


def _begin(outgoing: Outgoing, outlet: Outlet) -> Batch | None:
    """Render what can leave at once; leave the rest waiting for its commit."""
    if outgoing.options.after_commit:
        using = outgoing.options.using or database_of(outgoing.attributes)
        connection = open_transaction(using)
        if connection is not None:
            outlet.wait(replace(outgoing, keys=keys_of(outgoing.attributes)), connection)
            return None
    return outlet.prepare(outgoing)
