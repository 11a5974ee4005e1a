"""Ports of the signing package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from cryptography import x509

if TYPE_CHECKING:
    import pikepdf


class KeyPurpose(StrEnum):
    """What a key may do; said in its certificate and enforced before each use."""

    ACT_SEAL = "act-seal"
    RECEPTION_SEAL = "reception-seal"
    EVIDENCE_SEAL = "evidence-seal"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class ValidationMaterial:
    """Certificates and revocation data embedded in a signature so that it proves itself.

    Attributes:
        certificates: issuers of the seal and of the timestamp, leaves included, roots excluded.
        crls: DER CRLs covering every non-root certificate above, each fresh at sealing.
    """

    certificates: tuple[x509.Certificate, ...]
    crls: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SealSource:
    """A file to seal, as intake and inspection left it.

    Attributes:
        stream: seekable binary file open for reading (the spool); never closed by the sealer.
        path: a path that opens the same bytes (for example /proc/self/fd/N), for readers that want one.
        size: octets.
        sha256: digest of all octets.
        hash_state: a hashlib SHA-256 object that has consumed exactly the file; copied, never changed.
        pdf: the pikepdf object opened by the inspection, for PDF acts.
        name: file name used as URI in a detached manifest, for CAdES.
        media_type: type of the content, for a detached manifest.
    """

    stream: BinaryIO
    path: Path
    size: int
    sha256: bytes
    hash_state: object | None = None
    pdf: pikepdf.Pdf | None = None
    name: str = ""
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A signature made, waiting for its timestamp.

    Attributes:
        imprint: SHA-256 of the signature value: what the timestamp must cover.
        state: sealer-private.
    """

    imprint: bytes
    state: object = field(repr=False)


@dataclass(frozen=True, slots=True)
class Revision:
    """The result of a seal.

    Attributes:
        appended: octets that follow the input to make the sealed file (PAdES); empty for CAdES.
        sha256: digest of the sealed file (input ‖ appended), or of the input itself for CAdES.
        size: octets of the sealed file.
        manifest: ASiCManifest XML (CAdES only).
        signature: the CMS SignedData with its token, DER: the CAdES file, or the value of /Contents.
        certificate: the seal certificate.
        token: the timestamp token inside.
    """

    appended: bytes
    sha256: bytes
    size: int
    manifest: bytes
    signature: bytes
    certificate: x509.Certificate
    token: bytes


class Sealer(Protocol):
    """Makes seals in two halves, so that the caller fetches the timestamp in between.

    When the authority is down the caller drops `Prepared`; nothing was written.
    """

    @property
    def purpose(self) -> KeyPurpose:
        """The one purpose of the key behind this sealer."""
        ...

    @property
    def certificate(self) -> x509.Certificate:
        """The seal certificate."""
        ...

    def prepare(
        self, source: SealSource, material: ValidationMaterial, token_size: int, at: datetime
    ) -> Prepared:
        """Build and sign everything but the timestamp.

        Args:
            source: the file.
            material: what to embed.
            token_size: octets to reserve for the token.
            at: the service's own statement of the time (/M in PDF, signing-time in CAdES), UTC.

        Raises:
            PdfRefused: the PDF cannot take a seal.
            KeyUnusable: the key may not do this.
        """
        ...

    def rehearse(self, source: SealSource, at: datetime) -> None:
        """Refuse now what `prepare` would refuse, whatever the key says; it is not asked.

        Raises:
            PdfRefused: the PDF cannot take a seal.
            ContainerRefused: the file's name or media type may not stand in a container.
            KeyUnusable: the key may not do this.
        """
        ...

    def complete(self, prepared: Prepared, token: bytes) -> Revision:
        """Put the token in. Raises ReserveExceeded when it does not fit what was reserved."""
        ...


class TimestampFinding(Protocol):
    """What a timestamp verifier reports of a valid token (structural view)."""

    @property
    def gen_time(self) -> datetime:
        """UTC instant in the token."""
        ...

    @property
    def policy(self) -> str:
        """Dotted policy identifier."""
        ...

    @property
    def signer(self) -> x509.Certificate:
        """The authority's certificate."""
        ...

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Every certificate inside the token."""
        ...


class TimestampVerifier(Protocol):
    """Structural view of a timestamp verifier; raises an exception with a `code` attribute."""

    def verify(
        self,
        token: bytes,
        imprint: bytes,
        *,
        others: Sequence[x509.Certificate] = (),
        crls: Sequence[bytes] = (),
    ) -> TimestampFinding:
        """Check a token over an imprint."""
        ...
