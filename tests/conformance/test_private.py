"""5.5: who may hear a private channel is in the signature."""

from __future__ import annotations

import pytest

from tests.conformance.peer import Peer, join
from tests.conformance.publishing import publish
from tests.live import Server

CHANNEL = "private-x"


def forged(peer: Peer, how: str) -> str | None:
    """Return an ``auth`` that must not be accepted."""
    good = peer.sign(CHANNEL)
    key, _, signature = good.partition(":")
    return {
        "nothing": None,
        "empty": "",
        "no colon": key + signature,
        "only the key": f"{key}:",
        "only the signature": f":{signature}",
        "another digest": f"{key}:{'0' * 64}",
        "not ascii": f"{key}:{'é' * 64}",
        "upper case": f"{key}:{signature.upper()}",
        "a space": f"{good} ",
        "another socket": peer.sign(CHANNEL, socket_id="1.2"),
        "another channel": peer.sign("private-y"),
        "another secret": peer.sign(CHANNEL, secret="second-secret"),
        "another application": peer.sign(CHANNEL, key="second-key", secret="second-secret"),
        "another key": peer.sign(CHANNEL, key="second-key"),
        "data that is not there": peer.sign(CHANNEL, "{}"),
    }[how]


@pytest.mark.parametrize("channel", ["private-x", "private-encrypted-x", "private-App.User.1"])
@pytest.mark.parametrize("extra", [{}, {"channel_data": None}])
async def test_a_good_signature_opens(server: Server, channel: str, extra: dict[str, None]) -> None:
    """69, 80, 256."""
    async with join(server) as peer:
        await peer.ask(channel, auth=peer.sign(channel), **extra)
        assert await peer.expect("pusher_internal:subscription_succeeded", channel) == "{}"
        await publish(server, channel, "n")
        await peer.expect("n", channel)


@pytest.mark.parametrize(
    "how",
    [
        "nothing",
        "empty",
        "no colon",
        "only the key",
        "only the signature",
        "another digest",
        "not ascii",
        "upper case",
        "a space",
        "another socket",
        "another channel",
        "another secret",
        "another application",
        "another key",
        "data that is not there",
    ],
)
async def test_a_forged_signature_does_not(server: Server, how: str) -> None:
    """71-79, 219."""
    async with join(server) as peer:
        await peer.ask(CHANNEL, auth=forged(peer, how))
        problem = await peer.expect_subscription_refusal(CHANNEL)
        assert problem["status"] == 401
        assert peer.sign(CHANNEL).partition(":")[2] not in problem["error"]
        await publish(server, CHANNEL, "secret")
        await peer.silence()
        await peer.subscribe(CHANNEL)


async def test_channel_data_of_a_private_channel_is_signed_too(server: Server) -> None:
    """93, on a private channel: our own auth view names the user there."""
    async with join(server) as peer:
        data = '{"user_id":"7"}'
        await peer.ask(CHANNEL, auth=peer.sign(CHANNEL), channel_data=data)
        await peer.expect_subscription_refusal(CHANNEL)
        await peer.ask(CHANNEL, auth=peer.sign(CHANNEL, data), channel_data=data)
        await peer.expect("pusher_internal:subscription_succeeded", CHANNEL)


async def test_an_encrypted_channel_is_guarded(server: Server) -> None:
    """80."""
    async with join(server) as peer:
        await peer.ask("private-encrypted-x", auth="")
        await peer.expect_subscription_refusal("private-encrypted-x")
