"""The applications of the site, for checks that look into them."""

from __future__ import annotations

from collections.abc import Sequence

from broadcasting.applications import get_applications
from broadcasting.protocol.application import Application


def known_applications() -> Sequence[Application] | None:
    """Return all applications, or None where nobody can know them now.

    Other checks say what is wrong with their settings, and rows may be of a table that is not
    there yet: ``migrate`` runs the checks too.
    """
    try:
        return get_applications().all()
    except Exception:  # a source of somebody else's raises what it likes
        return None
