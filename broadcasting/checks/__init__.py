"""System checks: what is misconfigured is said before it is served, each with a hint.

Importing the package registers them; ``broadcasting.apps`` does.
"""

from broadcasting.checks import authorization, families, settings, site

__all__ = ["authorization", "families", "settings", "site"]
