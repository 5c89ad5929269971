"""Checks of the outbox: that its table is there. Only databases that are checked are asked."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import Error, connections

from broadcasting.models import OutboxEntry, OutboxTurn
from broadcasting.queues import get_queue
from broadcasting.queues.outbox import OutboxQueue


@register(Tags.database)
def check_outbox_table(
    app_configs: object = None, databases: Sequence[str] | None = None, **kwargs: object
) -> list[CheckMessage]:
    """W046: a database whose transactions are to hold events, and cannot."""
    try:
        queue = get_queue()
    except Exception:  # said by the checks of the families
        return []
    if not isinstance(queue, OutboxQueue):
        return []
    wanted = [alias for alias in queue.databases if alias in (databases or ())]
    return [_missing(alias) for alias in wanted if not _has_tables(alias)]


def _has_tables(alias: str) -> bool:
    try:
        there = connections[alias].introspection.table_names()
    except Error:  # away: Django says so itself
        return True
    return {OutboxEntry._meta.db_table, OutboxTurn._meta.db_table} <= {*there}


def _missing(alias: str) -> CheckWarning:
    return CheckWarning(
        f"BROADCASTING['QUEUE'] is the outbox, whose tables the database {alias!r} lacks: an"
        " event that is dispatched there raises.",
        hint=f"manage.py migrate broadcasting --database {alias}; a database router must allow it.",
        id="broadcasting.W046",
    )
