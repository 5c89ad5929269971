"""Certificates for servers of tests, signed by themselves."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

PASSWORD = "open sesame"


@dataclass(frozen=True)
class Certificate:
    """Its files: the certificate, its key, the same key encrypted, and both in one."""

    certificate: Path
    key: Path
    locked_key: Path
    both: Path


def make(folder: Path) -> Certificate:
    """Write a certificate of 127.0.0.1 and localhost."""
    folder.mkdir()
    made = Certificate(
        *(folder / name for name in ("cert.pem", "key.pem", "locked.pem", "all.pem"))
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )

    def written(encryption: KeySerializationEncryption) -> bytes:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

    public = certificate.public_bytes(Encoding.PEM)
    made.certificate.write_bytes(public)
    made.key.write_bytes(written(NoEncryption()))
    made.locked_key.write_bytes(written(BestAvailableEncryption(PASSWORD.encode())))
    made.both.write_bytes(public + written(NoEncryption()))
    return made


def trusting(certificate: Certificate) -> ssl.SSLContext:
    """What a client knows."""
    context = ssl.create_default_context(cafile=os.fspath(certificate.certificate))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
