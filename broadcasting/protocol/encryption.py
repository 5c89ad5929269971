"""What ``private-encrypted-`` channels carry: NaCl secretboxes, as Pusher's libraries make them.

Whoever publishes and whoever subscribes share a channel's key; the server between them sees
ciphertext. The only module that needs PyNaCl, and only once something is sealed or opened:
keys are made without it. Nonces are passed in.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nacl.secret import SecretBox

KEY_BYTES = 32
NONCE_BYTES = 24
MAC_BYTES = 16
"""What sealing adds to the data."""

EXTRA = "Private-encrypted channels need PyNaCl: pip install 'django-broadcasting[encryption]'"


class MissingPyNaCl(ImportError):
    """The extra ``encryption`` is not installed."""

    def __init__(self) -> None:
        super().__init__(EXTRA, name="nacl")


class Undecipherable(ValueError):
    """Not a sealed payload, or sealed with another key."""


def is_available() -> bool:
    """Whether PyNaCl is installed."""
    return find_spec("nacl") is not None


def read_master_key(text: str) -> bytes:
    """Return the 32 bytes that ``text`` is the base64 of; raise ValueError."""
    key = b64decode(text, validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError(f"a master key has {KEY_BYTES} bytes, not {len(key)}")
    return key


def channel_key(channel: str, master_key: bytes) -> bytes:
    """Return the key of one channel, by its whole name: who has it cannot read another."""
    return sha256(channel.encode() + master_key).digest()


def shared_secret(key: bytes) -> str:
    """Return a channel's key as subscribers are told it."""
    return b64encode(key).decode()


def encrypt(data: str, key: bytes, nonce: bytes) -> str:
    """Return ``data`` sealed, as the data string of an event.

    ``nonce``: 24 bytes that never serve this key again. Raises MissingPyNaCl.
    """
    box = _box(key)
    sealed = box.encrypt(data.encode("utf-8", "surrogatepass"), nonce)
    return _payload(nonce, sealed.ciphertext)


def decrypt(payload: str, key: bytes) -> str:
    """Return what encrypt() sealed. Raises Undecipherable, MissingPyNaCl."""
    box = _box(key)
    from nacl.exceptions import CryptoError  # it is there, see _box()

    try:
        parts = json.loads(payload)
        nonce, ciphertext = b64decode(parts["nonce"]), b64decode(parts["ciphertext"])
        return box.decrypt(ciphertext, nonce).decode("utf-8", "surrogatepass")
    except CryptoError:
        raise Undecipherable("sealed with another key, or changed on the way") from None
    except (KeyError, TypeError, ValueError):
        raise Undecipherable("not a sealed payload") from None


def sealed_size(size: int) -> int:
    """Return how many bytes encrypt() makes of ``size`` bytes of data."""
    base64 = (size + MAC_BYTES + 2) // 3 * 4
    return len(_payload(bytes(NONCE_BYTES), b"")) + base64


def _payload(nonce: bytes, ciphertext: bytes) -> str:
    parts = {"nonce": b64encode(nonce).decode(), "ciphertext": b64encode(ciphertext).decode()}
    return json.dumps(parts, separators=(",", ":"))


def _box(key: bytes) -> SecretBox:
    # Not before: a site without encrypted channels has no use for it.
    try:
        from nacl.secret import SecretBox
    except ImportError as error:
        raise MissingPyNaCl from error
    return SecretBox(key)
