"""What a probe is told: whether this process lives, and whether sockets should be sent to it.

Nothing of it is a secret: whoever reaches the port may ask.
"""

from __future__ import annotations

from typing import Any

from broadcasting.server.node import Node


def readiness(node: Node) -> dict[str, Any]:
    """Return how ``node`` is, with the reasons for which nobody should be sent to it.

    Addresses of other servers are not in it, which the log has.
    """
    carrier = node.interests.subscription
    # A process that was started while the backplane is away has not lost anything yet.
    connected = carrier.connected and not node.orders.joining
    lag = node.lag.seconds
    reasons = {
        "draining": node.leaving or node.draining,
        "backplane": not connected,
        "registry": node.lease.problem is not None,
        "loop_lag": lag > node.settings.max_loop_lag,
    }
    problems = [name for name, is_wrong in reasons.items() if is_wrong]
    return {
        "ready": not problems,
        "problems": problems,
        "backplane": {"connected": connected, "gaps": carrier.gaps},
        "loop_lag": round(lag, 3),
    }
