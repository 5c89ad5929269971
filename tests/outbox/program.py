"""What the processes of these tests run: publishers, and a broadcaster that writes to a file."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from broadcasting.broadcasters.silent import SilentBroadcaster
from broadcasting.broadcasts import Broadcast


class FileBroadcaster(SilentBroadcaster):
    """Adds a line for each broadcast; its process is killed after some number, if wanted."""

    def broadcast(self, broadcast: Broadcast) -> None:
        number = json.loads(broadcast.data)["number"]
        line = f"{broadcast.id} {broadcast.channels[0]} {number}\n"
        handle = os.open(os.environ["OUTBOX_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, line.encode())
        os.close(handle)
        if os.environ.get("OUTBOX_DIE_AT") == str(number):
            os.kill(os.getpid(), signal.SIGKILL)


Line = tuple[str, str, int]


def lines(path: Path) -> list[Line]:
    """Return id, channel and number of each broadcast that arrived."""
    if not path.exists():
        return []
    found = [line.split() for line in path.read_text().splitlines()]
    return [(number, channel, int(value)) for number, channel, value in found]


def main(first: int, last: int, channels: list[str], dies: bool) -> None:
    """Commit a row with its event for each number, on each channel in turn."""
    import django

    django.setup()
    from django.db import transaction

    from tests.outbox.site import Said
    from tests.testapp.models import Order

    for number in range(first, last):
        with transaction.atomic():
            Order.objects.create(total=number)
            Said(number, (channels[number % len(channels)],)).dispatch()
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), sys.argv[4] == "dies")
