"""What others can read of the driver ``pusher``: servers that nobody vouches for, and logs."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from broadcasting.exceptions import BroadcasterUnavailable
from tests.sending.test_pusher import both, made, pusher, send
from tests.webhooks.receiver import Receiver, receiving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for ``localhost``, which nobody else signed, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, found = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(found)),
        ],
        check=True,
        capture_output=True,
    )
    found.write_text(found.read_text() + key.read_text())
    return found


@pytest.fixture
def secure(certificate: Path) -> Iterator[Receiver]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with receiving(tls=tls) as receiver:
        yield receiver


@both
async def test_an_authority_of_ones_own_is_named_by_the_environment(
    secure: Receiver, certificate: Path, colour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    await send(pusher(secure.port, use_tls=True), colour, made("orders"))
    assert secure.requests[0].content["channel"] == "orders"


@both
async def test_a_certificate_that_nobody_vouches_for_is_refused(
    secure: Receiver, colour: str
) -> None:
    with pytest.raises(BroadcasterUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await send(pusher(secure.port, use_tls=True), colour, made("orders"))
    assert not secure.requests


@both
async def test_a_server_without_tls_is_told_nothing(colour: str) -> None:
    with receiving() as plain:
        with pytest.raises(BroadcasterUnavailable):
            await send(pusher(plain.port, use_tls=True, timeout=2), colour, made("orders"))
        assert not plain.requests


@both
async def test_a_signature_is_not_logged(colour: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiving() as receiver:
        await send(pusher(receiver.port), colour, made("orders"))
    assert f"http://localhost:{receiver.port}/apps/shop/events " in caplog.text
    assert "auth_signature" not in caplog.text
