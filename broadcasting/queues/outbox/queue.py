"""The half of the outbox that writes: a job becomes a row of the transaction that is open."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Final

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction

from broadcasting.conf import BackendSettings
from broadcasting.durations import is_some_seconds
from broadcasting.exceptions import QueueUnavailable
from broadcasting.families import import_backend, make_backend
from broadcasting.queues.base import BaseQueue, JobOptions, Payload, run
from broadcasting.queues.outbox import beside, rows
from broadcasting.queues.outbox.body import Body

DAY: Final = 86_400.0
"""Seconds that entries may wait which do not say. Who wants nothing lost wants late news too."""

DEFAULT_TRIES: Final = 20
"""With the waits below, a quarter of an hour in which nothing answers."""

DEFAULT_BACKOFF: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
DEFAULT_POLL: Final = 0.5
DEFAULT_LEASE: Final = 30.0
DEFAULT_BATCH: Final = 100


class OutboxQueue(BaseQueue):
    """One row for each job.

    ``OPTIONS`` beside those of every queue: ``databases``, the aliases whose transactions may
    hold jobs (the first one takes what belongs to none); ``then``, the queue that relays hand
    jobs to instead of running them; ``tries``, attempts at least, and ``backoff``, the seconds
    between them; ``poll``, ``lease`` (seconds) and ``batch`` of a relay; ``relay``, whether server
    processes run one.
    """

    known_options: ClassVar[frozenset[str] | None] = frozenset(
        {
            *("queue", "expires", "databases", "then", "relay"),
            *("tries", "backoff", "poll", "lease", "batch"),
        }
    )
    supports_delay = True
    keeps_order: ClassVar[bool] = True
    uses_database: ClassVar[bool] = True

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__({"expires": DAY} | dict(options))
        if not apps.is_installed("broadcasting"):
            raise ImproperlyConfigured(
                "BROADCASTING['QUEUE']: 'outbox' is a table: add \"broadcasting\" to INSTALLED_APPS"
            )
        self.databases = _aliases(options.get("databases", (DEFAULT_DB_ALIAS,)))
        self.then = _then(options.get("then"))
        """The queue that jobs go on to; None: relays run them."""

        self.tries = _whole("tries", options.get("tries", DEFAULT_TRIES))
        self.backoff = _waits(options.get("backoff", DEFAULT_BACKOFF))
        self.poll = _some_seconds("poll", options.get("poll", DEFAULT_POLL))
        """Seconds between two looks of a relay that found nothing."""

        self.lease = _some_seconds("lease", options.get("lease", DEFAULT_LEASE))
        """Seconds after which a relay that has not finished must have died."""

        self.batch = _whole("batch", options.get("batch", DEFAULT_BATCH))
        """Entries that a relay takes at once, and may hand on twice if it is killed."""

        self.relays_here = _switch("relay", options.get("relay", False))
        """Whether a server process relays, in a thread of its own."""

        self.runs_beside_sockets = self.relays_here and self.then is None

    def push(self, job: str, payload: Payload, options: JobOptions) -> None:
        database = options.using or self.databases[0]
        if database not in self.databases:
            raise ImproperlyConfigured(
                f"The transaction of the database {database!r} cannot hold {options.label or job}:"
                " name that database in BROADCASTING['QUEUE']['OPTIONS']['databases'], and"
                f" migrate it: manage.py migrate broadcasting --database {database}"
            )
        if not options.after_commit and connections[database].in_atomic_block:
            # Nobody could read it before the commit, and it is not to wait for that.
            self.hand_on(job, payload, options)
            return
        body = Body.of(job, payload, options)
        try:
            rows.record(
                database,
                body,
                label=options.label,
                order=options.order,
                delay=options.delay,
                expires=self.expires(options),
            )
        except Error as error:
            raise QueueUnavailable(f"The outbox of {database!r} did not take a job: {error}") from (
                error
            )
        if beside.is_running():
            transaction.on_commit(beside.poke, using=database)

    async def apush(self, job: str, payload: Payload, options: JobOptions) -> None:
        # The thread in which Django's async code keeps its connections and transactions.
        await sync_to_async(partial(self.push, job, payload, options), thread_sensitive=True)()

    def hand_on(self, job: str, payload: Payload, options: JobOptions) -> None:
        """Do what a relay does with a job. Raises what the next queue does, or the job itself."""
        if self.then is None:
            run(job, payload)
        else:
            self.then.push(job, payload, options)


def _aliases(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise _wrong("databases", "a list of aliases of DATABASES", value)
    if unknown := [alias for alias in value if alias not in connections]:
        raise _wrong("databases", "a list of aliases of DATABASES", unknown)
    return tuple(value)


def _then(value: object) -> BaseQueue | None:
    # The names of the family stand where this one is named too.
    from broadcasting.queues import SHORT_NAMES

    if value is None:
        return None
    entry: object = {"BACKEND": value} if isinstance(value, str) else value
    if not isinstance(entry, Mapping) or not isinstance(entry.get("BACKEND"), str):
        raise _wrong("then", 'the name of a queue, or {"BACKEND": ..., "OPTIONS": ...}', value)
    chosen = BackendSettings(backend=entry["BACKEND"], options=dict(entry.get("OPTIONS", {})))
    path = "['QUEUE']['OPTIONS']['then']"
    if issubclass(import_backend(path, SHORT_NAMES, chosen), OutboxQueue):
        raise _wrong("then", "another queue than the outbox", chosen.backend)
    queue: BaseQueue = make_backend(path, SHORT_NAMES, chosen)
    return queue


def _whole(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong(name, "a whole number above 0", value)
    return value


def _some_seconds(name: str, value: object) -> float:
    if not is_some_seconds(value):
        raise _wrong(name, "seconds above 0", value)
    return value


def _waits(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise _wrong("backoff", "a list of seconds", value)
    return tuple(_some_seconds("backoff", seconds) for seconds in value)


def _switch(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "True or False", value)
    return value


def _wrong(name: str, expected: str, value: object) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"BROADCASTING['QUEUE']['OPTIONS']['{name}'] must be {expected}, not {value!r}"
    )
