"""Who may join which channel, and who signs in as whom: what the project says, and signs.

Asked by the auth views and by the testing helpers, before a browser subscribes or signs in.
Knows nothing of sockets: the server only verifies what was signed here.
"""

from broadcasting.authorization.decisions import aauthorize, authorize
from broadcasting.authorization.finders import bind, finders
from broadcasting.authorization.guards import Identity
from broadcasting.authorization.lists import include, route
from broadcasting.authorization.lookups import Lookup
from broadcasting.authorization.outcomes import Decision, Identification, Outcome
from broadcasting.authorization.reversing import reverse
from broadcasting.authorization.rule import ChannelRoute
from broadcasting.authorization.rules import channel, routes
from broadcasting.authorization.users import aidentify, identify, resolver, user_resolver

__all__ = [
    "ChannelRoute",
    "Decision",
    "Identification",
    "Identity",
    "Lookup",
    "Outcome",
    "aauthorize",
    "aidentify",
    "authorize",
    "bind",
    "channel",
    "finders",
    "identify",
    "include",
    "resolver",
    "reverse",
    "route",
    "routes",
    "user_resolver",
]
