"""The table of the outbox: what is recorded, claimed by a relay, and settled.

Who claims holds a lock meanwhile, so that two relays never split a line between them. What they
claimed is theirs until a lease ends; whatever they settle names them, so that one that comes
back too late changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.db import connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from broadcasting.queues.outbox.body import Body

if TYPE_CHECKING:  # imported by asgi.py files, before models may be
    from broadcasting.models import OutboxEntry, OutboxTurn

MAX_LOOKED_AT: Final = 20_000
"""Entries that one claim looks at. What waits behind so many that cannot leave waits too."""

MAX_ERROR: Final = 1_000
"""Characters of an error that are kept."""


def entries(database: str) -> QuerySet[OutboxEntry]:
    """Return all entries of ``database``."""
    model: type[OutboxEntry] = apps.get_model("broadcasting", "OutboxEntry")
    return model._default_manager.using(database)


def record(
    database: str, body: Body, *, label: str, order: Iterable[str], delay: float, expires: float
) -> None:
    """Add an entry, to the transaction that is open. Raises what the database does."""
    now = timezone.now()
    due = now + timedelta(seconds=delay)
    entries(database).create(
        job=body.job,
        label=label[:300],
        lines="\n".join(order),
        body=body.to_text(),
        due_at=due,
        expires_at=due + timedelta(seconds=expires),
        created_at=now,
    )


def claim(database: str, relay: str, lease: float, batch: int) -> list[OutboxEntry] | None:
    """Return up to ``batch`` entries for ``relay`` alone, for ``lease`` seconds, oldest first.

    None: another relay looks at this moment.
    """
    # Nobody takes the lock for a table in which nothing is due.
    if not _due(database, timezone.now()).exists():
        return []
    with transaction.atomic(using=database):
        if not _take_turn(database):
            return None
        now = timezone.now()
        numbers = _that_may_leave(_due(database, now), now, batch)
        chosen = entries(database).filter(pk__in=numbers)
        chosen.update(claimed_by=relay, claimed_until=now + timedelta(seconds=lease))
        return [*chosen.order_by("number")]


def done(database: str, relay: str, numbers: Sequence[int]) -> None:
    """Remove what was handed on."""
    _own(database, relay, numbers).delete()


def release(database: str, relay: str, numbers: Sequence[int]) -> None:
    """Let any relay have what was claimed and not begun."""
    _own(database, relay, numbers).update(claimed_by="", claimed_until=None)


def postpone(
    database: str, relay: str, entry: OutboxEntry, body: Body, wait: float, error: str
) -> None:
    """Let what is left of ``entry`` be tried again in ``wait`` seconds."""
    _settle(
        database,
        relay,
        entry,
        error,
        job=body.job,
        body=body.to_text(),
        due_at=timezone.now() + timedelta(seconds=wait),
    )


def park(database: str, relay: str, entry: OutboxEntry, error: str) -> None:
    """Put ``entry`` aside, for people to look at."""
    _settle(database, relay, entry, error, parked_at=timezone.now())


def again(chosen: QuerySet[OutboxEntry]) -> int:
    """Let parked ones of ``chosen`` be relayed once more, and for as long; return how many."""
    now, total = timezone.now(), 0
    for entry in chosen.filter(parked_at__isnull=False).order_by("number"):
        patience = entry.expires_at - entry.created_at
        total += chosen.filter(pk=entry.pk, parked_at__isnull=False).update(
            parked_at=None,
            attempts=0,
            due_at=now,
            expires_at=now + patience,
        )
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a table holds."""

    waiting: int
    """Entries that are due, and not handed on."""

    oldest: float
    """For how many seconds the first of them has been due; 0 if there is none."""

    parked: int


def backlog(database: str) -> Backlog:
    """Return what the table of ``database`` holds. Raises what the database does."""
    now = timezone.now()
    waiting = entries(database).filter(parked_at__isnull=True, due_at__lte=now)
    first = waiting.order_by("due_at").values_list("due_at", flat=True).first()
    return Backlog(
        waiting=waiting.count(),
        oldest=0.0 if first is None else max(0.0, (now - first).total_seconds()),
        parked=entries(database).filter(parked_at__isnull=False).count(),
    )


def _due(database: str, now: datetime) -> QuerySet[OutboxEntry]:
    # What waits for another attempt holds its line up; what was delayed does not.
    ready = Q(due_at__lte=now) | Q(attempts__gt=0)
    return entries(database).filter(ready, parked_at__isnull=True)


def _that_may_leave(due: QuerySet[OutboxEntry], now: datetime, batch: int) -> list[int]:
    """Return the first numbers that have nobody before them in any of their lines."""
    found: list[int] = []
    held: set[str] = set()
    seen = due.order_by("number").values_list("number", "lines", "due_at", "claimed_until")
    for number, text, due_at, until in seen[:MAX_LOOKED_AT].iterator():
        lines = lines_of(text)
        is_held = due_at > now or (until is not None and until > now)
        if is_held or not held.isdisjoint(lines):
            # All its lines: what comes after it in another one must wait for it too.
            held.update(lines)
            continue
        found.append(number)
        if len(found) == batch:
            break
    return found


def lines_of(text: str) -> list[str]:
    """Return the lines that an entry stands in."""
    return text.split("\n") if text else []


def _take_turn(database: str) -> bool:
    """Lock the one row of the other table until the transaction ends; False: somebody has it."""
    turns = apps.get_model("broadcasting", "OutboxTurn")._default_manager.using(database)
    if _lock(database, turns):
        return True
    if turns.filter(pk=1).exists():
        return False
    # The first look ever, or somebody has emptied the table.
    turns.bulk_create([turns.model(pk=1)], ignore_conflicts=True)
    return _lock(database, turns)


def _lock(database: str, turns: QuerySet[OutboxTurn]) -> bool:
    only = turns.filter(pk=1)
    if connections[database].features.has_select_for_update_skip_locked:
        return only.select_for_update(skip_locked=True).first() is not None
    # A write takes the lock of the row, or of the whole database, and waits for it.
    return only.update(turns=F("turns") + 1) == 1


def _own(database: str, relay: str, numbers: Sequence[int]) -> QuerySet[OutboxEntry]:
    return entries(database).filter(pk__in=numbers, claimed_by=relay)


def _settle(database: str, relay: str, entry: OutboxEntry, error: str, **changes: Any) -> None:
    _own(database, relay, [entry.number]).update(
        attempts=F("attempts") + 1,
        last_error=_spelt(error[:MAX_ERROR]),
        claimed_by="",
        claimed_until=None,
        **changes,
    )


def _spelt(text: str) -> str:
    """Return ``text`` as any database takes it: half characters and NUL written out."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")
