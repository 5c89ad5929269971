"""The server's own TLS, for where nothing in front of it has any."""

from __future__ import annotations

import ssl

from broadcasting.server.listening import CannotListen


def context(certfile: str, keyfile: str | None, password: str | None = None) -> ssl.SSLContext:
    """Return what encrypts connections; raise CannotListen for files that do not fit.

    ``certfile`` is PEM, the server's own certificate first; without ``keyfile`` it holds the
    key too. ``password`` opens a key that is encrypted.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    # A WebSocket begins as HTTP/1.1: no client may hope for another.
    made.set_alpn_protocols(["http/1.1"])
    for file in (certfile, keyfile):
        if file is not None:
            _check_readable(file)
    try:
        # Never OpenSSL's own question on the terminal, which a service does not have.
        made.load_cert_chain(certfile, keyfile, lambda: password or "")
    except (OSError, ValueError) as problem:  # of which ssl's errors are
        pair = f"{certfile} and {keyfile}" if keyfile else certfile
        locked = _is_locked(keyfile or certfile)
        raise CannotListen(f"Cannot use {pair}: {_why(problem, locked)}") from problem
    return made


def _check_readable(file: str) -> None:
    try:
        with open(file, "rb"):
            pass
    except OSError as problem:
        shown = file or repr(file)
        raise CannotListen(f"Cannot read {shown}: {problem.strerror}.") from problem


def _is_locked(keyfile: str) -> bool:
    with open(keyfile, "rb") as file:
        return b"ENCRYPTED" in file.read()


def _why(problem: Exception, locked: bool) -> str:
    if getattr(problem, "reason", None) == "KEY_VALUES_MISMATCH":
        return "the key is not that of the certificate."
    if locked:  # OpenSSL has many words for a password that does not fit
        return "the key is encrypted, and --keyfile-password does not open it."
    return "no certificate with its private key, in PEM, can be read there."
