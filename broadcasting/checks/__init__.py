"""System checks: what is misconfigured is said before it is served, each with a hint.

Importing the package registers them; ``broadcasting.apps`` does.
"""

from broadcasting.checks import (
    authorization,
    broadcasters,
    client_events,
    encryption,
    events,
    families,
    limits,
    locks,
    models,
    outbox,
    settings,
    site,
    views,
    webhooks,
)

__all__ = [
    "authorization",
    "broadcasters",
    "client_events",
    "encryption",
    "events",
    "families",
    "limits",
    "locks",
    "models",
    "outbox",
    "settings",
    "site",
    "views",
    "webhooks",
]
