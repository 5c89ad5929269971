"""Bare pusher-js in the node process, in its own words.

Whoever it says it is, its back end signs: npm's ``pusher``, in the same process. So nothing
of Django is between the library and the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pusher

from tests.conformance.caller import Caller
from tests.live import Server
from tests.node.process import Event, Tab

MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
SUBSCRIBED = "pusher:subscription_succeeded"
COUNTED = "pusher:subscription_count"

APPLICATION = {"app_id": "1003", "key": "full-key", "secret": "full-secret"}


def caller(server: Server) -> Caller:
    """Return one who may call the HTTP API of that application."""
    return Caller(server, **APPLICATION)


@contextmanager
def back_end(server: Server) -> Iterator[pusher.Pusher]:
    """Pusher's own Python library, which encrypts where a channel asks for it."""
    where = {"host": "127.0.0.1", "port": server.port, "ssl": False}
    sdk = pusher.Pusher(**APPLICATION, **where, encryption_master_key_base64=MASTER_KEY)
    try:
        yield sdk
    finally:
        sdk._pusher_client.http.session.close()


def publish(server: Server, channel: str, name: str, data: Any) -> None:
    with back_end(server) as sdk:
        sdk.trigger(channel, name, data)


@dataclass
class Client(Tab):
    """One pusher-js of its own."""

    def open(
        self,
        *,
        version: int = 8,
        masters: Sequence[str] = (MASTER_KEY,),
        member: bool = True,
        forged: Sequence[str] = (),
        watchlist: Sequence[str] = (),
        **options: Any,
    ) -> None:
        """Make it; it connects by itself.

        ``masters`` make the keys of encrypted channels, one after another; the signatures of
        ``forged`` channels are wrong. Without ``member`` nobody says who joins a presence
        channel but the sign-in.
        """
        base = {
            "key": APPLICATION["key"],
            # Asked for even where a host is given.
            "cluster": "",
            "wsHost": "127.0.0.1",
            "wsPort": self.server.port,
            "forceTLS": False,
            "enabledTransports": ["ws"],
        }
        info = {"name": self.user}
        signer = {
            "application": APPLICATION,
            "masters": list(masters),
            "forged": list(forged),
            "member": {"user_id": self.user, "user_info": info} if member else None,
            "user": {"id": self.user, "user_info": info, "watchlist": list(watchlist)},
        }
        self.node.events(self.name)
        # Without a user there is nobody to sign for.
        more = {"signer": signer} if self.user else {}
        self.do("openClient", version=version, options=base | options, **more)

    def connect(self, **options: Any) -> str:
        """Open, and return the socket id once it is connected."""
        self.open(**options)
        return self.connected()

    def connected(self) -> str:
        self.wait("state", current="connected")
        return str(self.whoami()["socketId"])

    def whoami(self) -> Any:
        """Return its state, its socket id and who it is signed in as."""
        return self.do("whoami")

    def sign_in(self) -> None:
        """Sign in and wait for the own channel that comes with it."""
        start = len(self.node.events(self.name))
        self.do("signin")
        self.node.wait(self.name, start, "own", {})

    def subscribe(self, channel: str) -> Any:
        """Subscribe and return what came with the success."""
        start = len(self.node.events(self.name))
        self.do("subscribe", channel=channel)
        facts = {"channel": channel, "name": SUBSCRIBED}
        index = self.node.wait(self.name, start, "event", facts)
        return self.node.events(self.name)[index].get("data")

    def hear(self, channel: str, name: str) -> Any:
        """Return the data of the next such event of ``channel``."""
        return self.wait("event", channel=channel, name=name).get("data")

    def heard(self, channel: str | None = None) -> list[Event]:
        """Return all events but the library's own, of one channel or all."""
        facts = {} if channel is None else {"channel": channel}
        return [one for one in self.seen("event", **facts) if not one["name"].startswith("pusher:")]
