"""Encrypted channels from the sending half, and cache channels, which keep what it sends."""

from __future__ import annotations

import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pusher.crypto
import pytest
from nacl.secret import SecretBox

from broadcasting import EncryptedPrivateChannel, PrivateChannel, ShouldBroadcast
from broadcasting.authorization.answers import find_signer, sign_encrypted
from broadcasting.backplanes import Envelope, control
from broadcasting.broadcasters import broadcasters
from broadcasting.broadcasts import Broadcast
from broadcasting.channels import Channel
from broadcasting.exceptions import EncryptionUnavailable, PayloadError
from broadcasting.protocol.encryption import Undecipherable, channel_key, decrypt, sealed_size
from broadcasting.protocol.names import is_cache
from broadcasting.registry import Cached, get_registry
from broadcasting.testing import fake
from tests.sending.test_broadcasters import Tube

MASTER_KEY = bytes(range(32))
APPLICATION = {
    "id": "app",
    "key": "app-key",
    "secret": "app-secret",
    "encryption_master_key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
}
VAULT, SAFE = "private-encrypted-vault.1", "private-encrypted-safe.2"


class Here(Tube):
    """Keeps envelopes, and reaches no other process."""

    crosses_processes = False


class Opened(ShouldBroadcast):
    number: int = 1

    def broadcast_on(self) -> list[Channel]:
        return [EncryptedPrivateChannel("vault.1"), PrivateChannel("plain")]


@pytest.fixture
def envelopes(configure: Any) -> Iterator[list[Envelope]]:
    """What is published, by an application with a master key, where all is one process."""
    configure(BACKPLANE={"BACKEND": f"{__name__}.Here"}, APPLICATIONS=[APPLICATION])
    yield Tube.envelopes
    Tube.envelopes.clear()


def sample(*channels: str, data: str = '{"id":1}') -> Broadcast:
    return Broadcast(name="opened", channels=channels, data=data, broadcaster="default", id="abc")


def data_of(frame: str) -> str:
    data: str = json.loads(frame)["data"]
    return data


def opened(envelope: Envelope, channel: str | None = None) -> str:
    return decrypt(data_of(envelope.frame), channel_key(channel or envelope.channel, MASTER_KEY))


class TestEncrypted:
    async def test_each_channel_gets_a_ciphertext_of_its_own(
        self, envelopes: list[Envelope]
    ) -> None:
        """App 4: through our own server."""
        broadcasters["default"].broadcast(sample(VAULT, "private-plain", SAFE))
        await broadcasters["default"].abroadcast(sample(VAULT, "private-plain", SAFE))
        assert [e.channel for e in envelopes] == [VAULT, "private-plain", SAFE] * 2
        for vault, plain, safe in (envelopes[:3], envelopes[3:]):
            assert opened(vault) == opened(safe) == data_of(plain.frame) == '{"id":1}'
            with pytest.raises(Undecipherable):
                opened(safe, VAULT)
            assert json.loads(vault.frame)["channel"] == VAULT

    def test_a_retry_has_the_same_id_and_a_nonce_of_its_own(
        self, envelopes: list[Envelope]
    ) -> None:
        for _ in range(2):
            broadcasters["default"].broadcast(sample(VAULT, SAFE))
        assert [e.id for e in envelopes] == ["abc.0", "abc.1"] * 2
        nonces = {json.loads(data_of(e.frame))["nonce"] for e in envelopes}
        assert len(nonces) == 4
        assert {len(b64decode(nonce)) for nonce in nonces} == {24}

    def test_whoever_has_the_key_of_pushers_library_reads_ours(
        self, envelopes: list[Envelope]
    ) -> None:
        text = '{"name":"Ada Ω \U0001f600"}'
        broadcasters["default"].broadcast(sample(VAULT, data=text))
        key = pusher.crypto.generate_shared_secret(VAULT.encode(), MASTER_KEY)
        sealed = {k: b64decode(v) for k, v in json.loads(data_of(envelopes[0].frame)).items()}
        assert SecretBox(key).decrypt(sealed["ciphertext"], sealed["nonce"]).decode() == text

    def test_we_read_pushers_librarys(self) -> None:
        sealed = pusher.crypto.encrypt(VAULT, '{"id":1}', MASTER_KEY, b"n" * 24)
        payload = json.dumps(sealed)
        assert decrypt(payload, channel_key(VAULT, MASTER_KEY)) == '{"id":1}'

    def test_the_limit_counts_what_is_sent(self, envelopes: list[Envelope]) -> None:
        fits = next(size for size in range(10_240, 0, -1) if sealed_size(size) <= 10_240)
        broadcasters["default"].broadcast(sample(VAULT, data="x" * fits))
        assert len(data_of(envelopes[0].frame)) <= 10_240
        with pytest.raises(PayloadError, match=r"10\.0 KB once encrypted"):
            broadcasters["default"].broadcast(sample(VAULT, data="x" * (fits + 1)))
        broadcasters["default"].broadcast(sample("private-plain", data="x" * (fits + 1)))

    def test_an_event_that_cannot_be_encrypted_is_refused_when_it_is_dispatched(self) -> None:
        with pytest.raises(EncryptionUnavailable, match=rf"{VAULT}: .*'encryption_master_key'"):
            Opened().dispatch()

    async def test_and_by_the_async_twin(self) -> None:
        with pytest.raises(EncryptionUnavailable, match="'app' has no 'encryption_master_key'"):
            await Opened().adispatch()

    def test_a_fake_refuses_it_too(self) -> None:
        with fake(), pytest.raises(EncryptionUnavailable):
            Opened().dispatch()

    def test_a_fake_shows_what_would_be_sealed(self, envelopes: list[Envelope]) -> None:
        with fake() as broadcasts:
            Opened().dispatch()
        broadcasts.assert_payload(Opened, {"number": 1}, on=EncryptedPrivateChannel("vault.1"))

    def test_without_pynacl_the_extra_is_named(
        self, envelopes: list[Envelope], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "nacl", None)
        with pytest.raises(EncryptionUnavailable, match=r"django-broadcasting\[encryption\]"):
            Opened().dispatch()
        broadcasters["default"].broadcast(sample("private-plain"))
        assert [e.channel for e in envelopes] == ["private-plain"]

    @pytest.mark.parametrize("key", ["too short", "AAEC", 7])
    def test_a_master_key_that_is_none_is_never_shown(self, key: Any, configure: Any) -> None:
        options = {"app_id": "1", "key": "k", "secret": "s", "encryption_master_key": key}
        configure(BROADCASTERS={"default": {"BACKEND": "null", "OPTIONS": options}})
        with pytest.raises(EncryptionUnavailable, match="is not 32 bytes in base64") as refused:
            sign_encrypted(find_signer(), "1.1", VAULT, None)
        assert str(key) not in str(refused.value)


class TestCacheChannels:
    CACHES = ("cache-news", "private-cache-a", "presence-cache-a", "private-encrypted-cache-a")

    @pytest.mark.parametrize("channel", CACHES)
    async def test_what_is_sent_is_remembered_though_nobody_listens(
        self, channel: str, envelopes: list[Envelope]
    ) -> None:
        assert is_cache(channel)
        broadcasters["default"].broadcast(sample(channel, data='{"id":1}'))
        await self._check(channel, envelopes[-1])
        await broadcasters["default"].abroadcast(sample(channel, data='{"id":2}'))
        last = await self._check(channel, envelopes[-1])
        if "encrypted" in channel:
            assert '"id"' not in last.frame.replace('\\"', '"')
            assert opened(envelopes[-1]) == '{"id":2}'
        else:
            assert data_of(last.frame) == '{"id":2}'

    async def _check(self, channel: str, sent: Envelope) -> Cached:
        last = await get_registry().recall("app", channel)
        assert last is not None
        assert (last.frame, last.id) == (sent.frame, "abc.0")
        return last

    async def test_other_channels_are_not(self, envelopes: list[Envelope]) -> None:
        for channel in ("cached", "news", "private-news", VAULT, "#server-to-user-7"):
            broadcasters["default"].broadcast(sample(channel))
            assert await get_registry().recall("app", channel) is None

    def test_where_each_process_keeps_its_own_all_are_told(
        self, envelopes: list[Envelope], configure: Any
    ) -> None:
        configure(
            BACKPLANE={"BACKEND": "tests.sending.test_broadcasters.Tube"},
            APPLICATIONS=[APPLICATION],
        )
        broadcasters["default"].broadcast(sample("private-encrypted-cache-a"))
        told, sent = envelopes
        assert told.kind == "control"
        asked = control.read(told)
        assert isinstance(asked, control.Remember)
        assert (asked.channel, asked.frame, asked.id) == (sent.channel, sent.frame, "abc.0")
