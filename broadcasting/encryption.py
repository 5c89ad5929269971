"""An application's encrypted channels: whose key, and what to say where there is none.

Used by whoever sends, and by whoever tells subscribers their key. How things are sealed is
``protocol.encryption``'s.
"""

from __future__ import annotations

import os

from broadcasting.exceptions import EncryptionUnavailable
from broadcasting.protocol import encryption
from broadcasting.protocol.application import Application


def channel_key(application: Application, channel: str) -> bytes:
    """Return the key of one encrypted channel.

    Raises EncryptionUnavailable, which names what is missing: the application's master key,
    or PyNaCl. Both are needed, even to tell a subscriber: nothing here could send to it.
    """
    if application.encryption_master_key is None:
        raise EncryptionUnavailable(
            f"{channel}: the application {application.id!r} has no 'encryption_master_key'"
            " (32 random bytes in base64)"
        )
    if not encryption.is_available():
        raise EncryptionUnavailable(f"{channel}: {encryption.EXTRA}")
    try:
        master_key = encryption.read_master_key(application.encryption_master_key)
    except (TypeError, ValueError):
        raise EncryptionUnavailable(
            f"{channel}: the 'encryption_master_key' of the application {application.id!r} is"
            " not 32 bytes in base64"
        ) from None
    return encryption.channel_key(channel, master_key)


def encrypt(application: Application, channel: str, data: str) -> str:
    """Return ``data`` sealed for ``channel``, each time anew. Raises EncryptionUnavailable."""
    nonce = os.urandom(encryption.NONCE_BYTES)
    return encryption.encrypt(data, channel_key(application, channel), nonce)
