"""What a test can claim about broadcasts. A failed claim tells what was sent instead."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias, Union

from broadcasting.channels import Targets, as_channels
from broadcasting.encoding import encode
from broadcasting.events import ShouldBroadcast
from broadcasting.testing.records import Pending, Record

Event: TypeAlias = Union[type[ShouldBroadcast], str]  # noqa: UP007
"""An event class, or the name that clients listen to."""

Predicate: TypeAlias = Callable[[Any], bool]


class BroadcastAssertions(ABC):
    """Assertions over ``sent``. Each returns the records it is about."""

    @property
    @abstractmethod
    def sent(self) -> list[Record]:
        """What left."""

    @property
    @abstractmethod
    def pending(self) -> list[Pending]:
        """What waits for its commit."""

    def assert_broadcast(
        self,
        event: Event,
        predicate: Predicate | None = None,
        *,
        on: Targets = None,
        times: int | None = None,
    ) -> list[Record]:
        """Assert that ``event`` was broadcast, at least once or exactly ``times``.

        ``predicate`` is asked with the event, or, for an anonymous one, with its record. ``on``:
        channels that must be among those it went to. Going out through several broadcasters
        counts once.
        """
        on = as_channels(on)
        found = self._found(event, predicate, on)
        count = len({record.id for record in found})
        wanted = f"{_label(event)}{_where(on)}"
        if times is None and not found:
            self._fail(f"{wanted} was not broadcast{_matching(predicate)}.")
        if times is not None and count != times:
            self._fail(
                f"{wanted} was broadcast {_times(count)}{_matching(predicate)},"
                f" not {_times(times)}."
            )
        return found

    def assert_payload(
        self, event: Event, payload: Any, *, partial: bool = False, on: Targets = None
    ) -> list[Record]:
        """Assert that ``event`` was broadcast with exactly ``payload``.

        ``payload`` may hold what payloads may hold (dates, Decimals). ``partial``: objects in
        it may be a subset of those that left.
        """
        expected = json.loads(encode(payload))
        records = self.assert_broadcast(event, on=on)
        found = [record for record in records if _equals(record.payload, expected, partial=partial)]
        if not found:
            left = "\n".join(f"  {record.data}" for record in records)
            self._fail(
                f"{_label(event)} was not broadcast with{' at least' if partial else ''}"
                f" {encode(payload)}, but with:\n{left}"
            )
        return found

    def assert_to_others(self, event: Event, socket: str | None = None) -> list[Record]:
        """Assert that ``event`` left out one socket: ``socket``, or whichever."""
        found = [
            record
            for record in self.assert_broadcast(event)
            if record.except_socket is not None and socket in (None, record.except_socket)
        ]
        if not found:
            self._fail(f"{_label(event)} did not leave out {socket or 'any socket'}.")
        return found

    def assert_queued_on(self, queue: str, event: Event) -> list[Record]:
        """Assert that the job of ``event`` was pushed on ``queue``."""
        found = [record for record in self.assert_broadcast(event) if record.queue == queue]
        if not found:
            self._fail(f"{_label(event)} was not pushed on the queue {queue!r}.")
        return found

    def assert_not_broadcast(
        self, event: Event, predicate: Predicate | None = None, *, on: Targets = None
    ) -> None:
        """Assert that ``event`` did not leave (what waits for a commit has not left)."""
        on = as_channels(on)
        if self._found(event, predicate, on):
            self._fail(f"{_label(event)}{_where(on)} was broadcast{_matching(predicate)}.")

    def assert_nothing_broadcast(self) -> None:
        """Assert that nothing left (what waits for a commit has not left)."""
        if self.sent:
            self._fail("Something was broadcast.")

    def _found(self, event: Event, predicate: Predicate | None, on: Targets) -> list[Record]:
        channels = {channel.name for channel in as_channels(on)}
        _check(event)
        return [
            record
            for record in self.sent
            if _is(record, event)
            and channels <= {channel.name for channel in record.channels}
            and (predicate is None or predicate(_subject(record)))
        ]

    def _fail(self, message: str) -> NoReturn:
        lines = [message, "Sent:", *(f"  {item}" for item in self.sent or ("nothing",))]
        if pending := self.pending:
            lines += ["Waiting for a commit:", *(f"  {item}" for item in pending)]
        raise AssertionError("\n".join(lines))


def _check(event: object) -> None:
    # What could never be found would always count as not broadcast: a model in place of its event.
    if not isinstance(event, str) and not (
        isinstance(event, type) and issubclass(event, ShouldBroadcast)
    ):
        raise TypeError(f"{event!r} is neither an event class nor the name that clients listen to")


def _subject(record: Record) -> Any:
    return record if record.event is None else record.event


def _is(record: Record, event: Event) -> bool:
    return record.name == event if isinstance(event, str) else isinstance(record.event, event)


def _equals(actual: Any, expected: Any, *, partial: bool) -> bool:
    """Compare JSON data; in Python True is 1, in a browser it is not."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        same = expected.keys() <= actual.keys() if partial else expected.keys() == actual.keys()
        return same and all(_equals(actual[k], expected[k], partial=partial) for k in expected)
    if isinstance(expected, list) and isinstance(actual, list):
        pairs = zip(actual, expected, strict=False)
        return len(actual) == len(expected) and all(
            _equals(a, e, partial=partial) for a, e in pairs
        )
    return bool(actual == expected) and isinstance(actual, bool) == isinstance(expected, bool)


def _label(event: Event) -> str:
    return event if isinstance(event, str) else event.__name__


def _where(on: Targets) -> str:
    channels = as_channels(on)
    return f" on {', '.join(map(str, channels))}" if channels else ""


def _matching(predicate: Predicate | None) -> str:
    return "" if predicate is None else " with an event that satisfies the predicate"


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")
