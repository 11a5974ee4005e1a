"""Keys, files and work that seals are measured with: ours, and the least that any seal costs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, TypeAlias

import pikepdf
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from signing.base import KeyPurpose, SealSource
from signing.dev_pki import DevPki
from signing.keys import SealKey
from signing.own_pdf import check_own_pdf
from signing.pades import PadesSealer
from signing.pdf_signatures import pdf_signatures
from signing.revocation import RevocationSource
from signing.signers import SoftSigner
from signing.trust import TrustStore
from signing.validate import validate_pdf_signature
from timestamping.authority import EmbeddedAuthority
from timestamping.own_tokens import OwnTokenVerifier
from timestamping.verify import Rfc3161Verifier
from vault.clock import SystemClock

REAL = Path(__file__).resolve().parents[1] / "tests" / "data" / "pdf-real"
ONE_PAGE = REAL / "001-minimal-document.pdf"
BOOK = REAL / "009-GeoTopo-komprimiert.pdf"
POLICY = "1.3.6.1.4.1.99999.1"
PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Act: TypeAlias = Callable[[], None]
_ACTS = frozenset({KeyPurpose.ACT_SEAL})
ALGORITHMS = {"rsa": "rsa-pss", "p256": "p256"}


@dataclass
class Work:
    """One file, open as the spool holds it, with one key.

    Attributes:
        path: the file.
        key: the seal key.
        sealed: the last sealed file's appended octets.
        opened: seconds that qpdf took to open the file, go through its page tree, and close it, in the last seal.
    """

    bench: Bench
    path: Path
    key: SealKey
    sealed: bytes = b""
    opened: float = 0.0
    data: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.data = self.path.read_bytes()
        self._stream = self.path.open("rb")
        self._sealer = PadesSealer(self.key)
        self._chain = (self.key.certificate, *self.key.chain)
        self._raw = (raw_signer(self.key), raw_signer(self.bench.unit))

    def floor(self) -> None:
        """Do what no seal can do without: one hash of the file, the seal's signature, the timestamp's."""
        sign, stamp = self._raw
        stamp(sign(hashlib.sha256(self.data).digest()))

    def seal(self) -> None:
        """Seal as the service does: hash of the upload, inspection's qpdf object, fresh material, token."""
        self.seal_uploaded(self._stream, self.path, len(self.data), hashlib.sha256(self.data))

    def seal_uploaded(self, stream: BinaryIO, path: Path, size: int, state: hashlib._Hash) -> None:
        """Seal a file whose upload is over: its hash is there."""
        begun = time.perf_counter()
        pdf = pikepdf.open(path, attempt_recovery=False, inherit_page_attributes=False)
        # qpdf's own walk over the page tree, which the inspection has it do.
        len(pdf.pages)
        self.opened = time.perf_counter() - begun
        now = datetime.now(UTC)
        material = self.bench.revocation.material([self._chain, self.bench.authority.chain()], now)
        source = SealSource(stream, path, size, state.digest(), state, pdf)
        prepared = self._sealer.prepare(source, material, self.bench.authority.expected_size, now)
        token = self.bench.authority.token(prepared.imprint)
        self.sealed = self._sealer.complete(prepared, token.der).appended
        begun = time.perf_counter()
        pdf.close()
        # qpdf lets go of what it read when nobody holds it any more.
        del source, pdf
        self.opened += time.perf_counter() - begun

    def write(self, target: Path) -> Path:
        """Write the last sealed file, once it has proved to be one."""
        target.write_bytes(self.data + self.sealed)
        [signature] = pdf_signatures(target)
        bench = self.bench
        result = validate_pdf_signature(signature, bench.trust, bench.timestamps, now=datetime.now(UTC))
        if (result.level, result.covers_whole_file) != ("B-T", True):
            raise AssertionError("the seal does not verify")
        return target


class Bench:
    """A development PKI with its timestamp authority on P-256, for one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pki = DevPki.open(folder / "keys", datetime.now(UTC) - timedelta(minutes=5))
        self.unit = self.pki.timestamp
        chain = (self.unit.certificate, *self.unit.chain)
        self.authority = EmbeddedAuthority(self.unit, chain, POLICY, SystemClock())
        self.revocation = RevocationSource(self.pki.crls, self.pki.roots())
        self.trust = TrustStore(self.pki.roots())
        self.timestamps = Rfc3161Verifier(self.trust)

    def key(self, name: str) -> SealKey:
        """Return the act seal `rsa` (RSASSA-PSS, 3072 bits) or `p256`."""
        return self.pki.act_seal("bench", "Mairie", algorithm=ALGORITHMS[name])

    def work(self, path: Path, name: str) -> Work:
        """Prepare a file for one key."""
        return Work(self, path, self.key(name))

    def checks(self, work: Work, path: Path) -> tuple[Act, Act, Act]:
        """Return how to check a sealed file: the least there is to do, the quick check, the full validation."""
        data, tokens = path.read_bytes(), OwnTokenVerifier(self.trust)
        digest = hashlib.sha256(data).digest()
        verifications = [raw_verifier(key, digest) for key in (work.key, self.unit)]

        def least() -> None:
            hashlib.sha256(data).digest()
            for verify in verifications:
                verify()

        def quick() -> None:
            if check_own_pdf(path, self.trust, tokens, _ACTS) is None:
                raise AssertionError("the quick check does not know the file")

        def full() -> None:
            [signature] = pdf_signatures(path)
            validate_pdf_signature(signature, self.trust, self.timestamps, now=datetime.now(UTC))

        return least, quick, full


def many_pages(path: Path, pages: int, *, streams: bool) -> Path:
    """Write a PDF of pages of text, with object and cross-reference streams or with a table."""
    mode = pikepdf.ObjectStreamMode.generate if streams else pikepdf.ObjectStreamMode.disable
    with pikepdf.new() as pdf:
        font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1)
        font.BaseFont = pikepdf.Name.Helvetica
        font = pdf.make_indirect(font)
        for number in range(pages):
            page = pdf.add_blank_page(page_size=(595, 842))
            page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
            page.Contents = pdf.make_stream(b"BT /F1 18 Tf 60 760 Td (Page %d) Tj ET" % number)
        pdf.save(path, object_stream_mode=mode, deterministic_id=True)
    return path


def large_pdf(path: Path, size: int) -> Path:
    """Write a PDF of about so many octets, nearly all of them in a stream of zeros, which take no room on the disk."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> /PieceInfo << /A 4 0 R >> >>",
        b"<< /Length %d >>\nstream\n" % size,
    ]
    places = []
    with path.open("wb") as file:
        file.write(b"%PDF-1.7\n")
        for number, body in enumerate(objects, 1):
            places.append(file.tell())
            file.write(b"%d 0 obj\n%b" % (number, body))
            if number == len(objects):
                file.seek(size, 1)
                file.write(b"\nendstream")
            file.write(b"\nendobj\n")
        section = file.tell()
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
        file.write(b"".join(b"%010d 00000 n \n" % place for place in places))
        file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1))
        file.write(b"startxref\n%d\n%%%%EOF\n" % section)
    return path


def private(key: SealKey) -> PrivateKey:
    """Return the private key itself; development keys are held in this process."""
    held = key._signer
    if not isinstance(held, SoftSigner) or not isinstance(held._private, PrivateKey):
        raise TypeError("the key lies elsewhere")
    return held._private


def raw_signer(key: SealKey) -> Callable[[bytes], bytes]:
    """Return what signs as the key does, and nothing besides."""
    held = private(key)
    if isinstance(held, ec.EllipticCurvePrivateKey):
        ecdsa = ec.ECDSA(hashes.SHA256())
        return lambda data: held.sign(data, ecdsa)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return lambda data: held.sign(data, pss, hashes.SHA256())


def raw_verifier(key: SealKey, digest: bytes) -> Act:
    """Return what verifies one signature of the key, and does nothing besides."""
    signature, public = raw_signer(key)(digest), private(key).public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        ecdsa = ec.ECDSA(hashes.SHA256())
        return lambda: public.verify(signature, digest, ecdsa)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return lambda: public.verify(signature, digest, pss, hashes.SHA256())
