"""What a program takes away from users who are connected: a channel, or their connections."""

from __future__ import annotations

from broadcasting.revocation.calls import adisconnect, arevoke, disconnect, revoke

__all__ = ["adisconnect", "arevoke", "disconnect", "revoke"]
