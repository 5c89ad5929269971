"""The members of one presence channel, and what a newcomer is told of them.

The answer to a subscription lists all members as JSON inside a JSON string. Each one's part is
written when he comes, quoted for both; the answer is only joined from the parts, once for all
who come until the next change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from json.encoder import encode_basestring as _quoted
from json.encoder import encode_basestring_ascii as _quoted_ascii
from typing import Any

from broadcasting.protocol.messages import is_utf8, write_json

_NOT_PLAIN = re.compile(r"[^\x00-\x7e]+")
"""What is still to be escaped in JSON that has to be ASCII."""


class Roster:
    """Who is in ``channel``, by user id, in the order of coming."""

    __slots__ = ("_answer", "_channel", "_entries", "_ids", "revision")

    def __init__(
        self, channel: str, members: Mapping[str, Any] | None = None, revision: int = 0
    ) -> None:
        """``members``: user id to user info. ``revision``: which change was the last one."""
        self.revision = revision
        self._channel = channel
        self._ids: dict[str, str] = {}
        self._entries: dict[str, str] = {}
        self._answer: str | None = None
        for user_id, user_info in (members or {}).items():
            self.put(user_id, user_info)

    def put(self, user_id: str, user_info: Any) -> None:
        """Let a member be in, with this info from now on."""
        quoted_id = _quoted(user_id)
        # Texts are compared, since equal values need not be the same JSON: 1 and True.
        entry = _inner(f"{quoted_id}:{write_json(user_info)}")
        if self._entries.get(user_id) != entry:
            self._ids[user_id] = _inner(quoted_id)
            self._entries[user_id] = entry
            self._answer = None

    def drop(self, user_id: str) -> None:
        """Let a member be out."""
        del self._ids[user_id], self._entries[user_id]
        self._answer = None

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._ids

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def info(self, user_id: str) -> Any:
        """Return a member's user info, read back from what is told."""
        entry: dict[str, Any] = json.loads("{" + json.loads(f'"{self._entries[user_id]}"') + "}")
        return entry[user_id]

    @property
    def answer(self) -> str:
        """The frame that answers a subscription: the same object until something changes."""
        if self._answer is None:
            self._answer = self._joined()
        return self._answer

    def _joined(self) -> str:
        ids, entries = ",".join(self._ids.values()), ",".join(self._entries.values())
        text = (
            '{"event":"pusher_internal:subscription_succeeded","data":"{\\"presence\\":{'
            f'\\"count\\":{len(self._ids)},\\"ids\\":[{ids}],\\"hash\\":{{{entries}}}}}}}",'
            f'"channel":{_quoted(self._channel)}}}'
        )
        # A lone surrogate of one member; hardly anybody ever has one.
        return text if is_utf8(text) else _NOT_PLAIN.sub(_escaped_twice, text)


def _inner(json_text: str) -> str:
    """Return JSON as it stands inside a JSON string."""
    return _quoted(json_text)[1:-1]


def _escaped_twice(found: re.Match[str]) -> str:
    return _quoted_ascii(found[0])[1:-1].replace("\\", "\\\\")
