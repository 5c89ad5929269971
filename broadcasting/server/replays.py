"""Which frames of cache channels have passed this node, and who was given one ahead of time.

A kept frame may be read while it is still on its way here; who has it already need not get it
again. But if another one passes in between, it must come last: better twice than stale. Nothing
here waits or sends.
"""

from __future__ import annotations

from broadcasting.protocol.names import is_cache
from broadcasting.server.connection import Connection
from broadcasting.server.hub import Topic

NOBODY: frozenset[Connection] = frozenset()


class Replays:
    """What is known of the cache channels with listeners here."""

    def __init__(self) -> None:
        self._passed: dict[Topic, str] = {}
        """The envelope that passed last."""

        self._ahead: dict[Topic, dict[str, set[Connection]]] = {}
        """Envelopes that some were given before they passed."""

    def passed(self, topic: Topic) -> str | None:
        """Return the id of the last envelope that was delivered to listeners here."""
        return self._passed.get(topic)

    def given(self, topic: Topic, envelope_id: str, connection: Connection) -> None:
        """Note that ``connection`` was given the frame of an envelope."""
        if self._passed.get(topic) != envelope_id:
            self._ahead.setdefault(topic, {}).setdefault(envelope_id, set()).add(connection)

    def passes(self, topic: Topic, envelope_id: str) -> frozenset[Connection]:
        """Note that an envelope is being delivered; return who has its frame already."""
        # Every envelope comes by here, and hardly any is for a cache channel.
        if "cache-" not in topic[1] or not is_cache(topic[1]):
            return NOBODY
        self._passed[topic] = envelope_id
        # All of it, since from here on nobody's last frame is the one that was given ahead.
        ahead = self._ahead.pop(topic, None)
        return frozenset(ahead.get(envelope_id, ())) if ahead else NOBODY

    def forget(self, topic: Topic, connection: Connection, *, last: bool) -> None:
        """Forget a listener that left, and the channel with its ``last`` one."""
        if last:
            self._passed.pop(topic, None)
            self._ahead.pop(topic, None)
            return
        for given in self._ahead.get(topic, {}).values():
            given.discard(connection)
