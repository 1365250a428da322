"""Certificates: an authority of this service alone, and one for each host that it stands for."""

from __future__ import annotations

import datetime
import os
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from object2vec.files.whole import whole_file

_VALID = datetime.timedelta(days=825)  # the longest that clients accept of a host
_BEFORE = datetime.timedelta(hours=1)  # a client's clock may be behind


class Authority:
    """Signs certificates. Its key never leaves its folder, and trusting it is up to each client.

    Parameters
    ----------
    folder : Path
        Where its key and certificate lie; both are made if they are missing or have expired.

    Attributes
    ----------
    bundle : Path
        Its certificate beside the public ones, for clients that also talk to other hosts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.bundle = folder / "ca-bundle.pem"
        self._key, self._certificate = self._opened() or self._made()
        self._host_key = ec.generate_private_key(ec.SECP256R1())

    def context(self, host: str) -> ssl.SSLContext:
        """Return what a server needs to stand for `host`."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._context(host)
            return self._contexts[host]

    def _opened(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None:
        """Return the key and the certificate in the folder; None if they are of no use."""
        try:
            key = serialization.load_pem_private_key(
                (self._folder / "ca-key.pem").read_bytes(), password=None
            )
            certificate = x509.load_pem_x509_certificate((self._folder / "ca.pem").read_bytes())
        except (OSError, ValueError):
            return None
        is_over = certificate.not_valid_after_utc < _now() + datetime.timedelta(days=1)
        if is_over or not isinstance(key, ec.EllipticCurvePrivateKey) or not self.bundle.exists():
            return None
        return key, certificate

    def _made(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """Make a key and a certificate, and the bundle of trusted certificates with it."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "object2vec sagemaker local")])
        certificate = _builder(name, name, key, key, signs=True).sign(key, hashes.SHA256())
        _write_secret(self._folder / "ca-key.pem", _pem(key))
        own = certificate.public_bytes(serialization.Encoding.PEM)
        with whole_file(self._folder / "ca.pem") as stream:
            stream.write(own)
        with whole_file(self.bundle) as stream:
            stream.write(_public_bundle() + own)
        return key, certificate

    def _context(self, host: str) -> ssl.SSLContext:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
        issuer = self._certificate.subject
        certificate = (
            _builder(name, issuer, self._host_key, self._key, signs=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / "host.pem"  # the standard library reads a chain from a file alone
        chain = certificate.public_bytes(serialization.Encoding.PEM)
        _write_secret(file, _pem(self._host_key) + chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        file.unlink()
        return context


def _write_secret(path: Path, content: bytes) -> None:
    with whole_file(path) as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(content)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    signs: bool,
) -> x509.CertificateBuilder:
    """Return a certificate that says whose key it is and whose signed it, as RFC 5280 demands.

    Python 3.13 and later check that they do. The key is of who `signs` others, or of a host.
    """
    constraints = x509.BasicConstraints(ca=signs, path_length=0 if signs else None)
    start = _now() - _BEFORE
    subject_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _VALID)
        .add_extension(subject_id, critical=False)
        .add_extension(issuer_id, critical=False)
        .add_extension(constraints, critical=True)
        .add_extension(_key_usage(signs=signs), critical=True)
    )


def _key_usage(*, signs: bool) -> x509.KeyUsage:
    """Return what a key may be used for: certificates, or connections."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _public_bundle() -> bytes:
    """Return the certificates that clients trust by default."""
    given = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if given and Path(given).is_file():
        return Path(given).read_bytes()
    try:
        import certifi
    except ImportError:
        found = ssl.get_default_verify_paths().cafile
        return Path(found).read_bytes() if found else b""
    return Path(certifi.where()).read_bytes()


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
