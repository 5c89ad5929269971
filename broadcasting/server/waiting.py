"""Futures that several may wait on, of which one is kept: nearly always there is no second one."""

from __future__ import annotations

import asyncio


def join(
    loop: asyncio.AbstractEventLoop, earlier: asyncio.Future[None] | None
) -> asyncio.Future[None]:
    """Return what the newest of several waits on; however it ends, it wakes the one before."""
    waiter = loop.create_future()
    if earlier is not None and not earlier.done():
        waiter.add_done_callback(lambda _: wake(earlier))
    return waiter


def wake(waiter: asyncio.Future[None] | None) -> None:
    """Let those go on who wait on it; they look themselves whether there is something for them."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
