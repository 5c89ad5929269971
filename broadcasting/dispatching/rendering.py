"""One event into its broadcasts: asked when, named, addressed and encoded, once each.

Runs when the event is handed on, in the caller, so that a mistake shows where it was made
and a row deleted later is no problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from itertools import chain
from typing import Any, TypeAlias

from broadcasting.broadcasters import BaseBroadcaster, broadcasters
from broadcasting.broadcasts import Broadcast
from broadcasting.channels import Channel, as_channels
from broadcasting.conf import get_settings
from broadcasting.dispatching.failures import logger, report
from broadcasting.dispatching.options import is_paced
from broadcasting.dispatching.outgoing import Batch, Outgoing, has_its_own, has_middleware
from broadcasting.dispatching.packing import Packed
from broadcasting.dispatching.payloads import Encoded
from broadcasting.exceptions import InvalidEventName, PayloadError
from broadcasting.protocol.names import (
    CLIENT_PREFIX,
    MAX_NAME_LENGTH,
    RESERVED_PREFIXES,
    is_event_name,
)
from broadcasting.queues import get_queue

To: TypeAlias = str | BaseBroadcaster
"""An alias of ``BROADCASTERS``, or a broadcaster that has none."""


def render(outgoing: Outgoing, *, ask: bool = True) -> Batch | None:
    """Return the broadcasts of an event, or None if there is nothing to send.

    ``ask``: whether the event has not been asked yet if it is to be sent at all. Raises what
    the hooks raise, InvalidEventName, InvalidChannelName and PayloadError, unless the event is to
    be rescued.
    """
    event = outgoing.event
    channels: dict[To, tuple[Channel, ...]] = {}
    step = "broadcast_when"
    try:
        if ask and not event.broadcast_when():
            return None
        step = "broadcast_as"
        name = name_of(outgoing)
        step = "broadcast_on"
        channels = _channels_of(outgoing, event.broadcast_on())
        if not any(channels.values()):
            logger.debug("%s goes nowhere: broadcast_on() returned no channel", outgoing.label)
            return None
        step = "broadcast_with"
        encoded = Encoded(outgoing, event.broadcast_with())
        texts = {to: encoded[to] for to, its_own in channels.items() if its_own}
        step = "broadcast_queue"
        queue = queue_of(outgoing)
        step = "telling it apart"
        key = _key_of(outgoing)
    except Exception as error:
        if not outgoing.rescue:
            raise
        report(error, outgoing.label, step, dict.fromkeys(chain(*channels.values())))
        return None
    label, packed = outgoing.label, _packed_for_worker(outgoing)
    broadcasts, here, refused = [], [], []
    for to, data in texts.items():
        broadcast = Broadcast(
            id=outgoing.id,
            name=name,
            channels=tuple([channel.name for channel in channels[to]]),
            data=data,
            broadcaster=to if isinstance(to, str) else type(to).__name__,
            except_socket=outgoing.except_socket,
            event_label=label,
            event=packed,
        )
        try:
            (broadcasters[to] if isinstance(to, str) else to).check(broadcast)
        except Exception as error:
            refused.append((broadcast, error))
            continue
        if isinstance(to, str):
            broadcasts.append(broadcast)
        else:
            here.append((to, broadcast))
    return Batch(
        outgoing=outgoing,
        broadcasts=tuple(broadcasts),
        here=tuple(here),
        refused=tuple(refused),
        queue=queue,
        key=key,
    )


def _key_of(outgoing: Outgoing) -> str:
    # Now, while a row that is deleted has its key yet.
    if outgoing.options.unique:
        return str(outgoing.event.unique_id())
    return str(outgoing.event.coalesce_key()) if is_paced(outgoing.options) else ""


def _kind_of(outgoing: Outgoing, key: str) -> str:
    """Return what tells bursts apart: of an event that is not rendered, nothing else knows it."""
    channels = _channels_of(outgoing, outgoing.event.broadcast_on())
    wire = [f"{to}:{channel.name}" for to, its_own in channels.items() for channel in its_own]
    return "\n".join([key, name_of(outgoing), *sorted(wire)])


def queue_of(outgoing: Outgoing) -> str | None:
    """Return where the jobs of an event wait: as was said, as it says, or its class.

    Raises TypeError for what is no name.
    """
    if outgoing.queue is not None:
        return outgoing.queue
    name: Any = outgoing.event.broadcast_queue()
    if name is None:
        return outgoing.options.queue
    if not isinstance(name, str) or not name:
        raise TypeError(f"{outgoing.label}: broadcast_queue() returns a name or None, not {name!r}")
    return name


def _channels_of(outgoing: Outgoing, targets: Any) -> dict[To, tuple[Channel, ...]]:
    """Return the channels for each broadcaster: the same for all, or those that it has of its own.

    Raises TypeError for a broadcaster that there is not, or that has no alias where it needs one.
    """
    if isinstance(targets, Channel) or not isinstance(targets, Mapping):
        channels = as_channels(targets)
        return dict.fromkeys([*outgoing.broadcasters, *outgoing.built], channels)
    known = get_settings().broadcasters
    if unknown := targets.keys() - known.keys():
        raise TypeError(
            f"{outgoing.label}: broadcast_on() has channels for {', '.join(map(repr, unknown))},"
            f" which BROADCASTERS lacks; known: {', '.join(known)}"
        )
    if outgoing.built:
        raise TypeError(
            f"{outgoing.label}: broadcast_on() has channels by alias, and so none for a"
            " broadcaster that was given to via()"
        )
    # Unless it was said otherwise, it goes to whom it has channels for.
    aliases = outgoing.options.broadcasters or targets
    return {alias: as_channels(targets.get(alias)) for alias in aliases}


def name_of(outgoing: Outgoing) -> str:
    """Return what clients listen to. Raises InvalidEventName."""
    name = outgoing.event.broadcast_as()
    if name is None:
        name = outgoing.options.name or type(outgoing.event).__name__
    if isinstance(name, Enum):
        name = name.value
    # What begins with "client-" would pass for another visitor's whisper.
    if not is_event_name(name) or str(name).startswith(CLIENT_PREFIX):
        taken = ", ".join([*RESERVED_PREFIXES, CLIENT_PREFIX])
        raise InvalidEventName(
            f"{outgoing.label}: {name!r} is not an event name: text of 1 to {MAX_NAME_LENGTH}"
            f" characters that begins with none of {taken}"
        )
    return str(name)


def pack(outgoing: Outgoing) -> Batch | None:
    """Return an event for a worker to render, or None if it does not want to be sent.

    Raises what the hooks raise, and PayloadError for what cannot travel, unless the event is to
    be rescued.
    """
    # Not at import: events are built on this package.
    from broadcasting.references import pack as packed

    try:
        if not outgoing.event.broadcast_when():
            return None
        event, key, queue = packed(outgoing.event), _key_of(outgoing), queue_of(outgoing)
        if is_paced(outgoing.options):
            key = _kind_of(outgoing, key)
    except Exception as error:
        if not outgoing.rescue:
            raise
        report(error, outgoing.label, "packing it for a worker")
        return None
    return Batch(
        outgoing=outgoing,
        broadcasts=(),
        key=key,
        queue=queue,
        packed=Packed(
            id=outgoing.id,
            event=event,
            label=outgoing.label,
            broadcasters=outgoing.broadcasters,
            except_socket=outgoing.except_socket,
            missing=outgoing.options.missing,
            are_chosen=bool(outgoing.options.broadcasters),
        ),
    )


def _packed_for_worker(outgoing: Outgoing) -> dict[str, Any] | None:
    """Return the event for a worker to ask or to tell, if it has anything to say there."""
    stands_around = has_middleware(outgoing)
    if not stands_around and not has_its_own(outgoing, "broadcast_failed"):
        return None
    if outgoing.options.now or not get_queue().leaves_process:
        return None
    from broadcasting.references import pack as packed

    try:
        return packed(outgoing.event)
    except PayloadError as error:
        if stands_around:
            raise
        logger.warning("A worker cannot tell %s of a failure: %s", outgoing.label, error)
        return None
