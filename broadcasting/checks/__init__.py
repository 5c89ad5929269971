"""System checks: what is misconfigured is said before it is served, each with a hint.

Importing the package registers them; ``broadcasting.apps`` does.
"""

from broadcasting.checks import (
    authorization,
    client_events,
    events,
    families,
    models,
    settings,
    site,
    views,
    webhooks,
)

__all__ = [
    "authorization",
    "client_events",
    "events",
    "families",
    "models",
    "settings",
    "site",
    "views",
    "webhooks",
]
