"""Other makers of PAdES B-T seals, with the same keys and timestamps: pyHanko in this process, EU DSS in a JVM."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from asn1crypto import cms as asn1_cms
from asn1crypto import keys as asn1_keys
from asn1crypto import tsp
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.timestamps import TimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from benchmarks.peers.signed_files import read
from benchmarks.seal_bench import Bench, private
from signing.keys import SealKey

DSS = Path(__file__).resolve().parents[2] / ".cache" / "judges" / "dss.jar"
_RESERVED = 16384  # digits, enough for every CMS here


class _Stamper(TimeStamper):
    """Our authority as pyHanko asks one, without a network.

    pyHanko expects every token to have the length of the first; where one has not, it encodes all again, for
    seconds now and then. Used well, it never sees another length: a token costs less than its surprise.
    """

    def __init__(self, bench: Bench, *, even: bool) -> None:
        super().__init__(include_nonce=False)  # type: ignore[no-untyped-call]
        self._bench, self._even = bench, even

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        imprint = req["message_imprint"]["hashed_message"].native
        while True:
            token = self._bench.authority.token(imprint).der
            if not self._even or len(token) == self._bench.authority.expected_size:
                content = asn1_cms.ContentInfo.load(token)
                return tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": content})


class _Held(Signer):
    """A signer whose key stays loaded."""

    def __init__(self, key: SealKey, registry: SimpleCertificateStore) -> None:
        self._key = key
        rsa = key.max_signature_size > 100
        super().__init__(prefer_pss=rsa, signing_cert=read(key.certificate), cert_registry=registry)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        if dry_run:
            return bytes(self._key.max_signature_size)
        return self._key.sign(data)


class PyHanko:
    """pyHanko with one of our keys and our authority: as its documentation shows, and as well as it can be used."""

    def __init__(self, bench: Bench, key: SealKey, data: bytes) -> None:
        self._data = data
        registry = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        for issuer in key.chain:
            registry.register(read(issuer))
        octets = private_octets(key)
        rsa = key.max_signature_size > 100
        self._simple = SimpleSigner(
            read(key.certificate), asn1_keys.PrivateKeyInfo.load(octets), registry, prefer_pss=rsa
        )
        self._details: dict[str, Any] = {
            "field_name": "Seal",
            "md_algorithm": "sha256",
            "subfilter": SigSeedSubFilter.PADES,
            "certify": True,
        }
        self._plain_stamper = _Stamper(bench, even=False)
        self._well = PdfSigner(
            PdfSignatureMetadata(**self._details),
            _Held(key, registry),
            timestamper=_Stamper(bench, even=True),
        )
        self._loop = asyncio.new_event_loop()

    def used_plainly(self) -> bytes:
        """Sign as the documentation shows."""
        writer = IncrementalPdfFileWriter(io.BytesIO(self._data))
        signer = PdfSigner(
            PdfSignatureMetadata(**self._details), self._simple, timestamper=self._plain_stamper
        )
        return _octets(signer.sign_pdf(writer))

    def used_well(self) -> bytes:
        """Sign with everything held: key, loop, signer, reserve; tokens of one length."""
        writer = IncrementalPdfFileWriter(io.BytesIO(self._data))
        signing = self._well.async_sign_pdf(writer, bytes_reserved=_RESERVED)
        return _octets(self._loop.run_until_complete(signing))


class Dss:
    """EU DSS in one JVM that signs the same file again and again; `here` is False where it is not installed."""

    def __init__(self, bench: Bench, name: str, path: Path) -> None:
        self.here = DSS.is_file() and shutil.which("java") is not None
        self._process: subprocess.Popen[str] | None = None
        if self.here:
            folder = bench.folder
            roots = folder / "roots.pem"
            roots.write_bytes(bench.pki.roots_pem())
            key, unit = folder / f"{name}.p12", folder / "tsa.p12"
            key.write_bytes(holder(bench.key(name)))
            unit.write_bytes(holder(bench.unit))
            command = ["java", "-cp", str(DSS), "DssSigner", "--trust", str(roots), "--tsa", str(unit)]
            self._process = subprocess.Popen(
                [*command, "--again", "pades-certified", "T", str(key), str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )

    def __enter__(self) -> Dss:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.communicate(timeout=30)

    def milliseconds(self, count: int) -> list[float]:
        """Sign so many times and return how long each took."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("EU DSS is not here")
        process.stdin.write(f"{count}\n")
        process.stdin.flush()
        taken: list[float] = json.loads(process.stdout.readline())
        return taken


def private_octets(key: SealKey) -> bytes:
    """Return the private key as PKCS#8; a development key only."""
    return private(key).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def holder(key: SealKey) -> bytes:
    """Return the key with its chain as PKCS#12 with the password that DSS's program expects."""
    secret = BestAvailableEncryption(b"password")
    return pkcs12.serialize_key_and_certificates(b"key", private(key), key.certificate, key.chain, secret)


def _octets(stream: Any) -> bytes:
    octets: bytes = stream.getvalue()
    return octets
