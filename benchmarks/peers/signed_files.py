"""PDFs signed by pyHanko with keys of their own: what verifiers are measured on."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pikepdf
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko_certvalidator.registry import SimpleCertificateStore

_KEY_USAGE = {
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "encipher_only": False,
    "decipher_only": False,
}


@dataclass
class Maker:
    """A root, an authority below it and a signer, for one run."""

    root: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        root_key, authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.root = _certificate("Root", root_key, None, root_key, authority=True)
        authority = _certificate("Authority", authority_key, self.root, root_key, authority=True)
        signer = _certificate("Signer", key, authority, authority_key, authority=False)
        chain = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        chain.register(read(authority))
        octets = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self._signer = SimpleSigner(read(signer), asn1_keys.PrivateKeyInfo.load(octets), chain)

    def signed(self, path: Path, pages: int, signatures: int) -> Path:
        """Write a PDF with that many pages of text, signed that often, one revision each."""
        with pikepdf.new() as pdf:
            font = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1))
            font.BaseFont = pikepdf.Name.Helvetica
            for number in range(pages):
                page = pdf.add_blank_page(page_size=(595, 842))
                page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
                page.Contents = pdf.make_stream(b"BT /F1 18 Tf 60 760 Td (Page %d) Tj ET" % number)
            pdf.save(path)
        data = path.read_bytes()
        for number in range(signatures):
            metadata = PdfSignatureMetadata(
                field_name=f"Signature{number}", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
            )
            writer = IncrementalPdfFileWriter(io.BytesIO(data))
            data = PdfSigner(metadata, self._signer).sign_pdf(writer).getvalue()
        path.write_bytes(data)
        return path


def read(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """Return a certificate as pyHanko wants it."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        **_KEY_USAGE,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
