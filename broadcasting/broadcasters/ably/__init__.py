"""Ably: events over its REST API, and the tokens that its clients need."""

from broadcasting.broadcasters.ably.broadcaster import AblyBroadcaster

__all__ = ["AblyBroadcaster"]
