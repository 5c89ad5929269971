"""Many rows told of at once, after what Django's signals never hear of."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from typing import Any

from broadcasting.channels import Targets


def broadcast_updated(rows: Iterable[Any], *, on: Targets = None) -> None:
    """Broadcast that ``rows`` were updated, for instance by ``QuerySet.update()``.

    ``rows``: a queryset of a model that inherits BroadcastsEvents, or a list; one event for
    each. ``on``: channels in place of ``broadcast_on()``. Raises what ``dispatch()`` raises.
    """
    for row in rows:
        row.broadcast_updated(on=on)


async def abroadcast_updated(
    rows: Iterable[Any] | AsyncIterable[Any], *, on: Targets = None
) -> None:
    """See broadcast_updated()."""
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            await row.abroadcast_updated(on=on)
        return
    for row in rows:
        await row.abroadcast_updated(on=on)
