"""Who may join which channel: rules, and the answers that are signed because of them.

Asked by the auth view and by the testing helpers, before a browser subscribes. Knows
nothing of sockets: the server only verifies what was signed here.
"""

from broadcasting.authorization.decisions import aauthorize, authorize
from broadcasting.authorization.guards import Identity
from broadcasting.authorization.outcomes import Decision
from broadcasting.authorization.rules import ChannelRoute, channel, routes

__all__ = [
    "ChannelRoute",
    "Decision",
    "Identity",
    "aauthorize",
    "authorize",
    "channel",
    "routes",
]
