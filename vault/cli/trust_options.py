"""The options that say whom a verifier trusts and what it knows besides the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.errors import SigningError
from signing.hostile import HOSTILE
from signing.judgement import OutsideData
from vault.verification.trust_sources import Sources, open_sources, read_certificates

_DIGEST = re.compile(r"(?:(?P<name>[a-z0-9_-]{3,16}):)?(?P<value>[0-9A-Fa-f]{32,128})")
_MAX_FILE = 64 << 20
_UNREADABLE: tuple[type[Exception], ...] = (SigningError, OSError, *HOSTILE)
_PEM_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


def read_trust(
    trust: Sequence[str], tsa_trust: Sequence[str], lists: Sequence[Path], signers: Sequence[Path]
) -> Sources:
    """Read anchors. Raises typer.BadParameter."""
    if bool(lists) != bool(signers):
        raise typer.BadParameter("--trusted-list and --trusted-list-signer belong together")
    try:
        return open_sources(trust, tsa_trust, lists, signers)
    except (SigningError, OSError) as error:
        words = error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)
        raise typer.BadParameter(f"--trust, --tsa-trust, --trusted-list: {words}") from error


def read_data(certificates: Sequence[Path], crls: Sequence[Path], ocsps: Sequence[Path]) -> OutsideData:
    """Read validation data from outside the file. Raises typer.BadParameter."""
    try:
        return OutsideData(
            tuple(each for path in certificates for each in read_certificates(path)),
            tuple(each for path in crls for each in _crls(path)),
            tuple(_octets(path) for path in ocsps),
        )
    except _UNREADABLE as error:
        raise typer.BadParameter(f"--certificates, --crl or --ocsp: {error}") from error


def read_digests(texts: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
    """Read `sha256:HEX`; without a name the length tells SHA-256, SHA-384 and SHA-512. Raises typer.BadParameter."""
    found = []
    for text in texts:
        match = _DIGEST.fullmatch(text.strip())
        value = bytes.fromhex(match["value"]) if match and len(match["value"]) % 2 == 0 else b""
        name = (match["name"] or f"sha{8 * len(value)}").replace("-", "") if match else ""
        name = {"sha3256": "sha3_256", "sha3384": "sha3_384", "sha3512": "sha3_512"}.get(name, name)
        if name not in hashlib.algorithms_guaranteed or hashlib.new(name).digest_size != len(value):
            raise typer.BadParameter(f"--digest: not ALGORITHM:HEX: {text[:80]}")
        found.append((name, value))
    return tuple(found)


def _crls(path: Path) -> list[bytes]:
    data = _octets(path)
    listed = _PEM_CRL.findall(data)
    if not listed:
        return [data]
    return [x509.load_pem_x509_crl(each).public_bytes(Encoding.DER) for each in listed]


def _octets(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE)
