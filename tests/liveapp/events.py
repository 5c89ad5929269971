from __future__ import annotations

import os

from django.contrib.auth.models import User
from django.db import transaction

from broadcasting import Channel, ShouldBroadcast
from broadcasting.job_middleware import EventJob, Middleware, Next


class Happened(ShouldBroadcast):
    """Goes wherever the request says."""

    channel: str
    number: int

    def broadcast_on(self) -> str | Channel:
        return self.channel

    def broadcast_with(self) -> dict[str, int]:
        return {"number": self.number}


class Rescued(Happened):
    """Not worth a failed request."""

    class Meta:
        name = "Happened"
        rescue = True


class ShortLived(Happened):
    """News for a moment: shorter than any process takes to begin."""

    class Meta:
        name = "Happened"
        expires = 0.01


class Told(ShouldBroadcast):
    """What ``listeners.py`` hears."""

    user: User
    word: str

    class Meta:
        fields = {"user": ["id"]}  # noqa: RUF012

    def broadcast_on(self) -> str:
        return "told"


def announce(channel: str) -> None:
    """Dispatch 1 in a transaction that is rolled back, then 2 in one that commits."""
    for number in (1, 2):
        with transaction.atomic():
            User.objects.filter(pk=0).update(first_name="x")
            Happened(channel, number).dispatch()
            transaction.set_rollback(number == 1)


class InWorker(Happened):
    """Says which process rendered it."""

    class Meta:
        render = "worker"

    def broadcast_with(self) -> dict[str, int]:
        return {"number": self.number, "process": os.getpid()}


class Given(Happened):
    """Goes nowhere, and says so on its channel, which another broadcaster reaches."""

    class Meta:
        broadcasters = ("refusing",)

    def broadcast_failed(self, error: Exception) -> None:
        Happened(self.channel, self.number).now().dispatch()


class Once(Happened):
    class Meta:
        name = "Happened"
        unique = True
        render = "worker"


class Surrounded(Happened):
    """Something happens before and after it, from the process that does its job."""

    class Meta:
        name = "Happened"
        broadcasters = ("default", "null")

    def middleware(self) -> list[Middleware]:
        def around(job: EventJob, next_: Next) -> None:
            Happened(self.channel, self.number - 1).now().dispatch()
            next_(job)
            Happened(self.channel, self.number + 1).now().dispatch()

        return [around]


class Settling(Happened):
    class Meta:
        name = "Happened"
        debounce = 0.1
