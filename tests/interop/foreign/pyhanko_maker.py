"""Signed PDFs by pyHanko: every baseline level, several signers, filled forms, with and without revocation data."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pikepdf
from asn1crypto import crl as asn1_crl
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.pdf_utils.content import RawContent
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import BoxConstraints
from pyhanko.sign import PdfSignatureMetadata, PdfSigner, SimpleSigner, fields
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from tests.judging.conftest import Holder, World
from tests.services.certificates import key_usage

DAY = timedelta(days=1)
SIGNING = key_usage("digital_signature", "content_commitment")


def _certificate(holder: Holder) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(holder.certificate.public_bytes(Encoding.DER))


def _key(holder: Holder) -> asn1_keys.PrivateKeyInfo:
    octets = holder.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return asn1_keys.PrivateKeyInfo.load(octets)


def base_pdf() -> bytes:
    """Return a page of text with two text fields and a checkbox."""
    out = io.BytesIO()
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(595, 842))
        font = pdf.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
            )
        )
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        page.Contents = pdf.make_stream(b"BT /F1 18 Tf 60 760 Td (Acte de naissance) Tj ET")
        names = []
        for number, name in enumerate(("Nom", "Prenom")):
            appearance = pdf.make_stream(b"/Tx BMC EMC", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form)
            appearance.BBox = pikepdf.Array([0, 0, 200, 20])
            field = pikepdf.Dictionary(
                Type=pikepdf.Name.Annot,
                Subtype=pikepdf.Name.Widget,
                FT=pikepdf.Name.Tx,
                T=name,
                V="",
                DA="/F1 12 Tf",
                Rect=pikepdf.Array([60, 600 - 40 * number, 260, 620 - 40 * number]),
                P=page.obj,
                F=4,
                AP=pikepdf.Dictionary(N=appearance),
            )
            names.append(pdf.make_indirect(field))
        page.Annots = pikepdf.Array(names)
        pdf.Root.AcroForm = pdf.make_indirect(
            pikepdf.Dictionary(
                Fields=pikepdf.Array(names),
                DA="/F1 12 Tf",
                DR=pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font)),
            )
        )
        pdf.save(out, deterministic_id=True)
    return out.getvalue()


class PyHankoMaker:
    """Signs with keys of a world; all revocation lists are fresh when it is made."""

    def __init__(self, world: World) -> None:
        self.world = world
        now = datetime.now(UTC)
        fresh = {"start": now - DAY, "end": now + DAY}
        self.crls = [world.crl(world.ca, **fresh), world.crl(world.root, **fresh)]
        chain = SimpleCertificateStore()
        chain.register_multiple([_certificate(world.ca)])
        self.signer, self.second = (
            SimpleSigner(_certificate(item), _key(item), chain)
            for item in (
                world.build(name, world.ca, world.key(), [(SIGNING, True)]) for name in ("First", "Second")
            )
        )
        # Its own timestamps are RSA only.
        key = rsa.generate_private_key(65537, 2048)
        self.tsa = world.leaf("TSA", world.root, usage=ExtendedKeyUsageOID.TIME_STAMPING, key=key)
        self.stamper = DummyTimeStamper(_certificate(self.tsa), _key(self.tsa))

    def _context(self) -> ValidationContext:
        return ValidationContext(
            trust_roots=[_certificate(self.world.root)],
            other_certs=[_certificate(self.world.ca), _certificate(self.tsa)],
            crls=[asn1_crl.CertificateList.load(crl) for crl in self.crls],
            allow_fetching=False,
            revocation_mode="require",
        )

    def sign(
        self,
        data: bytes,
        level: str = "B-B",
        field: str = "Sig1",
        *,
        signer: SimpleSigner | None = None,
        box: tuple[int, int, int, int] | None = None,
        certify: MDPPerm | None = None,
        lock: FieldMDPSpec | None = None,
        plain: bool = False,
    ) -> bytes:
        """Sign once; `level` is a baseline level, `plain` an ordinary PDF signature."""
        details: dict[str, object] = {"subfilter": None if plain else SigSeedSubFilter.PADES}
        if level in {"B-LT", "B-LTA"}:
            details |= {"embed_validation_info": True, "validation_context": self._context()}
            details["use_pades_lta"] = level == "B-LTA"
        if certify is not None:
            details |= {"certify": True, "docmdp_permissions": certify}
        metadata = PdfSignatureMetadata(field_name=field, md_algorithm="sha256", **details)  # type: ignore[arg-type]
        style = StaticStampStyle(
            background=RawContent(b"0.9 g 0 0 200 50 re f", box=BoxConstraints(200, 50)), border_width=1
        )
        made = PdfSigner(
            metadata,
            signer or self.signer,
            timestamper=None if level == "B-B" else self.stamper,
            stamp_style=style if box else None,
            new_field_spec=SigFieldSpec(field, box=box, field_mdp_spec=lock),
        ).sign_pdf(IncrementalPdfFileWriter(io.BytesIO(data)))
        octets: bytes = made.getvalue()
        return octets

    def fill(self, data: bytes, name: str, value: str) -> bytes:
        """Fill a text field by an incremental update, as a form filler does."""
        from pyhanko.pdf_utils import generic
        from pyhanko.pdf_utils.generic import pdf_name, pdf_string

        writer = IncrementalPdfFileWriter(io.BytesIO(data))
        for reference in writer.root["/AcroForm"]["/Fields"]:
            field = reference.get_object()
            if field.get("/T") != name:
                continue
            field["/V"] = pdf_string(value)
            text = b"/Tx BMC BT /F1 12 Tf 2 5 Td (%b) Tj ET EMC" % value.encode()
            appearance = generic.StreamObject(stream_data=text)
            appearance["/Type"], appearance["/Subtype"] = pdf_name("/XObject"), pdf_name("/Form")
            appearance["/BBox"] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 200, 20)))
            appearance["/Resources"] = writer.root["/AcroForm"]["/DR"]
            field["/AP"] = generic.DictionaryObject({pdf_name("/N"): writer.add_object(appearance)})
            writer.update_container(field)
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()

    def prepared(self, data: bytes, *specs: SigFieldSpec) -> bytes:
        """Add empty signature fields."""
        writer = IncrementalPdfFileWriter(io.BytesIO(data))
        for spec in specs:
            fields.append_signature_field(writer, spec)
        out = io.BytesIO()
        writer.write(out)
        return out.getvalue()


def files(maker: PyHankoMaker) -> dict[str, tuple[Callable[[], bytes], tuple[str, ...]]]:
    """Return what to make, and the level that each signature must be found to have."""
    base = base_pdf()
    boxed = SigFieldSpec("Sig1", box=(60, 100, 200, 150)), SigFieldSpec("Sig2", box=(300, 100, 440, 150))

    def levels(*of: str) -> tuple[str, ...]:
        return tuple(f"PAdES-{level}" for level in of)

    return {
        "b-b": (lambda: maker.sign(base), levels("B-B")),
        "b-t": (lambda: maker.sign(base, "B-T"), levels("B-T")),
        "b-lt": (lambda: maker.sign(base, "B-LT"), levels("B-LT")),
        "b-lta": (lambda: maker.sign(base, "B-LTA"), (*levels("B-LTA"), "document timestamp")),
        "plain": (lambda: maker.sign(base, plain=True), ("PKCS7-B",)),
        "plain-visible": (lambda: maker.sign(base, plain=True, box=(60, 100, 260, 150)), ("PKCS7-B",)),
        "visible": (lambda: maker.sign(base, box=(60, 100, 260, 150)), levels("B-B")),
        "certified-p2": (lambda: maker.sign(base, certify=MDPPerm.FILL_FORMS), levels("B-B")),
        "certified-p2-then-filled": (
            lambda: maker.fill(maker.sign(base, certify=MDPPerm.FILL_FORMS), "Nom", "Martin"),
            levels("B-B"),
        ),
        "certified-p1-b-lta": (
            lambda: maker.sign(base, "B-LTA", certify=MDPPerm.NO_CHANGES),
            (*levels("B-LTA"), "document timestamp"),
        ),
        "two-signers": (
            lambda: maker.sign(maker.sign(base), field="Sig2", signer=maker.second),
            levels("B-B", "B-B"),
        ),
        "two-signers-visible-b-t": (
            lambda: maker.sign(
                maker.sign(base, "B-T", box=(60, 100, 200, 150)),
                "B-T",
                "Sig2",
                signer=maker.second,
                box=(300, 100, 440, 150),
            ),
            levels("B-T", "B-T"),
        ),
        "two-signers-b-lta": (
            lambda: maker.sign(maker.sign(base, "B-LT"), "B-LTA", "Sig2", signer=maker.second),
            (*levels("B-LTA", "B-LTA"), "document timestamp"),
        ),
        "prepared-fields-two-signers": (
            lambda: maker.sign(maker.sign(maker.prepared(base, *boxed)), field="Sig2", signer=maker.second),
            levels("B-B", "B-B"),
        ),
        "filled-then-signed-twice": (
            lambda: maker.sign(
                maker.fill(maker.sign(maker.fill(base, "Nom", "Martin")), "Prenom", "Anne"),
                field="Sig2",
                signer=maker.second,
            ),
            levels("B-B", "B-B"),
        ),
        "signed-then-filled": (lambda: maker.fill(maker.sign(base), "Nom", "Martin"), levels("B-B")),
        "locked-field-other-filled": (
            lambda: maker.fill(
                maker.sign(base, lock=FieldMDPSpec(FieldMDPAction.INCLUDE, ["Prenom"])), "Nom", "Martin"
            ),
            levels("B-B"),
        ),
    }
