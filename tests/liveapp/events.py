from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction

from broadcasting import Channel, ShouldBroadcast


class Happened(ShouldBroadcast):
    """Goes wherever the request says."""

    channel: str
    number: int

    def broadcast_on(self) -> str | Channel:
        return self.channel

    def broadcast_with(self) -> dict[str, int]:
        return {"number": self.number}


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
