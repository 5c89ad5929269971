"""A relay that is called by signals at every point of its loop, a thousand times in a second."""

from __future__ import annotations

import itertools
import signal

import django

SIGNALS = 1_000


def main() -> None:
    """End once all of them were taken; one that waits for itself never does."""
    django.setup()
    from broadcasting.queues.outbox import OutboxQueue
    from broadcasting.queues.outbox.relay import Relay

    class Empty(Relay):
        def _look(self) -> float:
            return 0.000_2

    relay = Empty(OutboxQueue({}))
    taken = itertools.count(1)

    def take(*_: object) -> None:
        if next(taken) < SIGNALS:
            relay.wake()
        else:
            signal.setitimer(signal.ITIMER_REAL, 0)
            relay.stop()

    signal.signal(signal.SIGALRM, take)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    relay.run()


if __name__ == "__main__":
    main()
