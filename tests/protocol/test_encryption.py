from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcasting.protocol import encryption
from broadcasting.protocol.encryption import (
    MissingPyNaCl,
    Undecipherable,
    channel_key,
    decrypt,
    encrypt,
    read_master_key,
    sealed_size,
    shared_secret,
)

MASTER_KEY = bytes(range(32))
KEY = channel_key("private-encrypted-foo", MASTER_KEY)
NONCE = b"n" * 24


@pytest.mark.parametrize(
    ("channel", "master_key", "secret"),
    [
        (
            "private-encrypted-foo",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "E3I6KxLwqP1Rr/p1676Vpnrw23CkRdS5bkX5NazRkeY=",
        ),
        (
            "private-encrypted-vault.1",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "9UQf6KMW6+EIuqTG9PeW+xW4TtxOxb0Yeu6JS0A/J9s=",
        ),
        (
            "private-encrypted-channel",
            "OHRXNUZRTG5pUTFzQlFGd3J3N3Q2VFZFc0paZDEweVk=",
            "VmIsNZtCSteh8kazd2toc+ofhohBtUouQRSDtRvuyVI=",
        ),
    ],
)
def test_the_published_secrets(channel: str, master_key: str, secret: str) -> None:
    """App 1."""
    assert shared_secret(channel_key(channel, read_master_key(master_key))) == secret


def test_the_published_ciphertext() -> None:
    """App 1."""
    key = channel_key("pvUPIk0YG6MnxCEMIUUVFrbDmQwbhICXUcy", b"OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5")
    payload = encrypt("kkkT5OOkOkO5kT5TOO5TkOT5TTk5O55T", key, b"XAJI0Y6DPBHSAHXTHV3A3ZMF")
    assert json.loads(payload) == {
        "nonce": "WEFKSTBZNkRQQkhTQUhYVEhWM0EzWk1G",
        "ciphertext": "tsYJa2JgGDOpVIYFe4aNVWAvZlpB7z7CjN9mpIdbATE0Yc4izN8aM8D6VigBxnIQ",
    }


@given(st.text(st.characters(codec=None)), st.binary(min_size=24, max_size=24))
def test_what_is_sealed_comes_out_again_and_its_size_was_known(data: str, nonce: bytes) -> None:
    payload = encrypt(data, KEY, nonce)
    assert decrypt(payload, KEY) == data
    assert len(payload) == sealed_size(len(data.encode("utf-8", "surrogatepass")))


def test_another_channels_key_opens_nothing() -> None:
    other = channel_key("private-encrypted-fooo", MASTER_KEY)
    with pytest.raises(Undecipherable, match="another key"):
        decrypt(encrypt("{}", KEY, NONCE), other)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "text",
        "null",
        "[]",
        "{}",
        '{"nonce":"","ciphertext":""}',
        '{"nonce":1,"ciphertext":2}',
        '{"nonce":"x","ciphertext":"y"}',
        '{"nonce":"bm5u","ciphertext":"bm5u"}',
    ],
)
def test_what_was_never_sealed_is_no_crash(payload: str) -> None:
    with pytest.raises(Undecipherable):
        decrypt(payload, KEY)


def test_one_changed_bit_is_noticed() -> None:
    parts = json.loads(encrypt("{}", KEY, NONCE))
    sealed = bytearray(b64decode(parts["ciphertext"]))
    sealed[3] ^= 1
    parts["ciphertext"] = b64encode(sealed).decode()
    with pytest.raises(Undecipherable):
        decrypt(json.dumps(parts), KEY)


@pytest.mark.parametrize("text", ["", "abc", "AAEC", "!" * 44, b64encode(bytes(33)).decode()])
def test_a_master_key_has_32_bytes(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_master_key(text)


def test_without_pynacl_keys_are_made_and_sealing_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nacl", None)
    monkeypatch.setitem(sys.modules, "nacl.secret", None)
    assert not encryption.is_available()
    assert channel_key("private-encrypted-foo", MASTER_KEY) == KEY
    with pytest.raises(MissingPyNaCl, match=r"pip install 'django-broadcasting\[encryption\]'"):
        encrypt("{}", KEY, NONCE)
    with pytest.raises(ImportError, match="encryption"):
        decrypt("{}", KEY)


def test_pynacl_is_not_imported_until_it_is_needed() -> None:
    code = (
        "import sys; from broadcasting.protocol.encryption import *\n"
        "assert is_available(); channel_key('private-encrypted-a', bytes(32))\n"
        "assert 'nacl.secret' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
