"""The ticker's event, on a public channel: no login, no authorization."""

from __future__ import annotations

from broadcasting import Channel, ShouldBroadcast
from example_project.ticker.models import Activity


class ActivityRecorded(ShouldBroadcast):
    """Something happened that anybody may know."""

    activity: Activity

    class Meta:
        # A model leaves only in the fields that are named.
        fields = {"activity": ["id", "text", "created"]}

    def broadcast_on(self) -> Channel:
        return Channel("shop")


def record(text: str) -> Activity:
    """Keep a line and tell everybody, once the surrounding transaction has committed."""
    activity = Activity.objects.create(text=text)
    ActivityRecorded(activity).dispatch()
    return activity
