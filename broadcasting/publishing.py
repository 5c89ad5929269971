"""How an envelope leaves any process: kept first if its channel keeps its last event, then sent.

For what a program publishes. What clients and the protocol itself say goes straight to the
backplane or the hub, since cache channels keep neither.
"""

from __future__ import annotations

from broadcasting.backplanes import Envelope, get_backplane
from broadcasting.backplanes.control import Remember
from broadcasting.backplanes.control import envelope as control_envelope
from broadcasting.conf import get_settings
from broadcasting.protocol.names import is_cache
from broadcasting.registry import Cached, get_registry


def publish(envelope: Envelope) -> None:
    """Send ``envelope`` to every node that has listeners. Raises PublishError."""
    backplane = get_backplane()
    if is_cache(envelope.channel):
        if _each_keeps_its_own():
            backplane.publish(_remember(envelope))
        else:
            get_registry().remember(envelope.app_id, envelope.channel, _last(envelope))
    backplane.publish(envelope)


async def apublish(envelope: Envelope) -> None:
    """See publish()."""
    backplane = get_backplane()
    if is_cache(envelope.channel):
        if _each_keeps_its_own():
            await backplane.apublish(_remember(envelope))
        else:
            await get_registry().aremember(envelope.app_id, envelope.channel, _last(envelope))
    await backplane.apublish(envelope)


def _each_keeps_its_own() -> bool:
    """Whether nodes cannot read what this process keeps, so that each must keep it itself."""
    return get_backplane().crosses_processes and not get_registry().crosses_processes


def _last(envelope: Envelope) -> Cached:
    return Cached(frame=envelope.frame, id=envelope.id, ttl=get_settings().cache_ttl)


def _remember(envelope: Envelope) -> Envelope:
    last = _last(envelope)
    control = Remember(channel=envelope.channel, frame=last.frame, id=last.id, ttl=last.ttl)
    return control_envelope(envelope.app_id, control)
