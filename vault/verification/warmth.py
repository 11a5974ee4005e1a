"""A small signed PDF, made on the spot, that the template judges once before it forks.

What libraries build at their first use is then there in every child: a one-page file took 8 to 17 ms in one, and 20
without this (measured in turns on a machine that was busy with other things).
"""

from __future__ import annotations

import os
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID

from signing.trust import TrustStore
from vault.evidence.findings import Verdict
from vault.evidence.verify import verify_file

_RESERVED = 4096  # hexadecimal digits
_RANGE = b"[0 %010d %010d %010d]"


def warm() -> Verdict:
    """Make a signed PDF under a certificate of the moment, and judge it.

    Two roots of one name and key are trusted: such a choice goes to the full validator of paths, which is warm then.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Root", "Root", root_key, root_key, authority=True)
    again = _certificate("Root", "Root", root_key, root_key, authority=True)
    signer = _certificate("Signer", "Root", key, root_key, authority=False)
    data = _signed(signer, key, root)
    descriptor = os.memfd_create("warmth", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return verify_file(Path(f"/proc/self/fd/{descriptor}"), trust=TrustStore([root, again]))
    finally:
        os.close(descriptor)


def _certificate(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        not authority, not authority, False, False, False, authority, authority, False, False
    )
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage, critical=True)
        .sign(by, hashes.SHA256())
    )


def _signed(signer: x509.Certificate, key: ec.EllipticCurvePrivateKey, root: x509.Certificate) -> bytes:
    empty = b"<" + b"0" * _RESERVED + b">"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]/SigFlags 3>>>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Annots[4 0 R]>>",
        b"<</Type/Annot/Subtype/Widget/FT/Sig/T(S)/Rect[0 0 0 0]/F 132/P 3 0 R/V 5 0 R>>",
        b"<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached/ByteRange %s/Contents %s>>"
        % (_RANGE % (0, 0, 0), empty),
    )
    out, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    start = out.index(empty)
    end = start + len(empty)
    out = out.replace(_RANGE % (0, 0, 0), _RANGE % (start, end, len(out) - end))
    builder = pkcs7.PKCS7SignatureBuilder().set_data(out[:start] + out[end:]).add_certificate(root)
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary]
    cms = builder.add_signer(signer, key, hashes.SHA256()).sign(Encoding.DER, options)
    return out[: start + 1] + cms.hex().encode().ljust(_RESERVED, b"0") + out[end - 1 :]
