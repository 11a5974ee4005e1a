"""Attacks on who signed and when: CMS forms, roles of certificates, paths, revocation, timestamps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from asn1crypto import cms as asn1_cms
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from signing.judgement import OutsideData
from tests.attacks.signed.generator.base import (
    BASE,
    SIGN_AT,
    Bench,
    Doc,
    Made,
    Signing,
    attack,
    genuine,
    second,
)
from tests.judging.conftest import DAY, NOW, YEAR, Holder, World
from tests.services.certificates import key_usage

FORMAT = "FORMAT_FAILURE"
ROLE = "SIG_CONSTRAINTS_FAILURE"
PLAIN = b"/Type /Sig /Filter /Adobe.PPKLite /SubFilter /adbe.pkcs7.detached"


def _pdf(bench: Bench, cms: Callable[[bytes], bytes], kind: bytes = Signing.kind, **options: Any) -> Made:
    return Made(Doc().update(BASE, sign=Signing(cms, 10, kind)).data, **options)


def _signed_by(
    bench: Bench, holder: Holder, at: Any = NOW, kind: bytes = Signing.kind, **options: Any
) -> Made:
    chain = (holder.certificate, bench.world.ca.certificate)
    options.setdefault("certificates", chain)
    return _pdf(bench, lambda octets: bench.cms(octets, holder, **options), kind, at=at)


def _with(bench: Bench, *extensions: tuple[x509.ExtensionType, bool], **times: Any) -> Holder:
    world = bench.world
    return world.build("Signer", world.ca, world.key(), extensions, **times)


# ---- CMS


@genuine("cms", "plain-pkcs7-without-signing-certificate")
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, bound=False), PLAIN)


@genuine("cms", "sha512")
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, digest="sha512"))


@attack("cms", "two-signer-infos", FORMAT)
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, signers=2))


@attack("cms", "no-signer-info", FORMAT, "NO_SIGNATURE_FOUND")
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, signers=0))


@attack("cms", "content-inside", FORMAT)
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, inside=octets[:100]))


@attack("cms", "other-content-type", FORMAT)
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, content_type="tst_info"))


@attack("cms", "cades-without-signing-certificate", ROLE, unsure=True)
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, bound=False))


@attack("cms", "signing-certificate-of-another", "NO_SIGNING_CERTIFICATE_FOUND", unsure=True)
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, stated=bench.world.ca.certificate))


@attack("cms", "message-digest-twice", FORMAT)
def _(bench: Bench) -> Made:
    def doubled(octets: bytes) -> bytes:
        again = asn1_cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(octets).digest()]})
        return bench.cms(octets, more=[again])

    return _pdf(bench, doubled)


@attack("cms", "no-signed-attributes-in-cades", ROLE, unsure=True)
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, attributes=False))


@attack("cms", "signature-value-flipped", "SIG_CRYPTO_FAILURE")
def _(bench: Bench) -> Made:
    def flipped(octets: bytes) -> bytes:
        made = asn1_cms.ContentInfo.load(bench.cms(octets))
        info = made["content"]["signer_infos"][0]
        value = bytearray(info["signature"].native)
        value[-1] ^= 1
        info["signature"] = bytes(value)
        return made.dump(force=True)

    return _pdf(bench, flipped)


@attack("cms", "signed-attribute-changed", "SIG_CRYPTO_FAILURE")
def _(bench: Bench) -> Made:
    """The claimed time is moved by a day in the signed attributes."""

    def moved(octets: bytes) -> bytes:
        now, then = (f"{time:%y%m%d%H%M%S}Z".encode() for time in (SIGN_AT, SIGN_AT - DAY))
        made = bench.cms(octets)
        assert made.count(now) == 1
        return made.replace(now, then)

    return _pdf(bench, moved)


@attack("cms", "certificate-swapped-for-a-look-alike", "NO_SIGNING_CERTIFICATE_FOUND", unsure=True)
def _(bench: Bench) -> Made:
    world = bench.world
    twin = world.leaf("Signer", world.ca)
    return _pdf(
        bench, lambda octets: bench.cms(octets, certificates=(twin.certificate, world.ca.certificate))
    )


@attack("cms", "sha1-today", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", "CRYPTO_CONSTRAINTS_FAILURE", unsure=True)
def _(bench: Bench) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, digest="sha1"), PLAIN)


@attack(
    "cms", "rsa-1024-today", "CRYPTO_CONSTRAINTS_FAILURE_NO_POE", "CRYPTO_CONSTRAINTS_FAILURE", unsure=True
)
def _(bench: Bench) -> Made:
    weak = bench.world.leaf("Signer", bench.world.ca, key=rsa.generate_private_key(65537, 1024))
    return _signed_by(bench, weak)


# ---- roles


def _role(name: str, *extensions: tuple[x509.ExtensionType, bool]) -> None:
    @attack("roles", name, ROLE, "CHAIN_CONSTRAINTS_FAILURE", unsure=True)
    def _(bench: Bench) -> Made:
        return _signed_by(bench, _with(bench, *extensions))


for _name, _purpose in (
    ("timestamp-certificate", ExtendedKeyUsageOID.TIME_STAMPING),
    ("tls-server-certificate", ExtendedKeyUsageOID.SERVER_AUTH),
    ("ocsp-certificate", ExtendedKeyUsageOID.OCSP_SIGNING),
):
    _role(_name, (x509.ExtendedKeyUsage([_purpose]), True))
_role("encipherment-only", (key_usage("key_encipherment"), True))
_role(
    "ca-certificate",
    (x509.BasicConstraints(ca=True, path_length=0), True),
    (key_usage("key_cert_sign", "digital_signature"), True),
)


@attack("roles", "signature-by-the-authority-itself", ROLE, unsure=True)
def _(bench: Bench) -> Made:
    return _signed_by(bench, bench.world.ca)


@attack(
    "roles",
    "unknown-critical-extension",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    "CHAIN_CONSTRAINTS_FAILURE",
    ROLE,
    unsure=True,
)
def _(bench: Bench) -> Made:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    return _signed_by(bench, _with(bench, (odd, True)))


# ---- paths


@attack("paths", "stranger", "NO_CERTIFICATE_CHAIN_FOUND", unsure=True)
def _(bench: Bench) -> Made:
    stranger = bench.world.leaf("Signer", None)
    return _signed_by(bench, stranger, certificates=(stranger.certificate,))


@attack(
    "paths",
    "look-alike-authority",
    "NO_CERTIFICATE_CHAIN_FOUND",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    unsure=True,
)
def _(bench: Bench) -> Made:
    world = bench.world
    fake = world.authority("Signers CA", world.authority("Root", None))
    leaf = world.leaf("Signer", fake)
    return _signed_by(bench, leaf, certificates=(leaf.certificate, fake.certificate))


@attack(
    "paths",
    "issued-by-a-signer",
    "CHAIN_CONSTRAINTS_FAILURE",
    "NO_CERTIFICATE_CHAIN_FOUND",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    unsure=True,
)
def _(bench: Bench) -> Made:
    """A signer's certificate, which is no CA, issues another one."""
    world = bench.world
    leaf = world.leaf("Maire", world.signer)
    return _signed_by(
        bench, leaf, certificates=(leaf.certificate, world.signer.certificate, world.ca.certificate)
    )


@attack(
    "paths",
    "path-too-long",
    "CHAIN_CONSTRAINTS_FAILURE",
    "NO_CERTIFICATE_CHAIN_FOUND",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    unsure=True,
)
def _(bench: Bench) -> Made:
    world = bench.world
    short = world.build(
        "Short",
        world.root,
        world.key(),
        [(x509.BasicConstraints(True, 0), True), (key_usage("key_cert_sign"), True)],
    )
    below = world.authority("Below", short)
    leaf = world.leaf("Signer", below)
    return _signed_by(bench, leaf, certificates=(leaf.certificate, below.certificate, short.certificate))


@attack(
    "paths",
    "name-not-permitted",
    "CHAIN_CONSTRAINTS_FAILURE",
    "NO_CERTIFICATE_CHAIN_FOUND",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    unsure=True,
)
def _(bench: Bench) -> Made:
    world = bench.world
    allowed = x509.NameConstraints(
        [x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "MC")]))], None
    )
    bound = world.build(
        "Bound",
        world.root,
        world.key(),
        [(x509.BasicConstraints(True, None), True), (key_usage("key_cert_sign"), True), (allowed, True)],
    )
    leaf = world.leaf("Signer", bound)
    return _signed_by(bench, leaf, certificates=(leaf.certificate, bound.certificate))


# ---- time


@attack("time", "certificate-ended", "OUT_OF_BOUNDS_NO_POE", unsure=True)
def _(bench: Bench) -> Made:
    return _signed_by(bench, _with(bench, start=NOW - 2 * YEAR, end=NOW - YEAR), claimed=NOW - YEAR - DAY)


@attack("time", "certificate-not-begun", "OUT_OF_BOUNDS_NO_POE", unsure=True)
def _(bench: Bench) -> Made:
    return _signed_by(bench, _with(bench, start=NOW + DAY, end=NOW + YEAR))


@attack("time", "proven-before-the-certificate", "NOT_YET_VALID")
def _(bench: Bench) -> Made:
    world = bench.world
    return _signed_by(
        bench, _with(bench, start=NOW - DAY, end=NOW + YEAR), tokens=[world.stamp(NOW - 30 * DAY)]
    )


@genuine("time", "certificate-ended-after-the-timestamp")
def _(bench: Bench) -> Made:
    world = bench.world
    old = _with(bench, start=NOW - 2 * YEAR, end=NOW - YEAR)
    return _signed_by(bench, old, tokens=[world.stamp(NOW - YEAR - DAY)])


# ---- revocation


def _revoked(
    bench: Bench,
    signed: Any,
    revoked: Any,
    reason: Any,
    crl_options: dict[str, Any] | None = None,
    stamp: Any = None,
) -> Made:
    world = bench.world
    holder = _with(bench)
    crl = world.crl(world.ca, [(holder.certificate, revoked, reason)], **(crl_options or {}))
    tokens = [world.stamp(stamp)] if stamp else []
    return _signed_by(bench, holder, crls=[crl], claimed=signed, tokens=tokens)


@attack("revocation", "revoked-before-signing", "REVOKED", "REVOKED_NO_POE")
def _(bench: Bench) -> Made:
    return _revoked(bench, NOW - DAY, NOW - 5 * DAY, x509.ReasonFlags.key_compromise)


@attack("revocation", "revoked-after-the-claimed-time", "REVOKED_NO_POE", unsure=True)
def _(bench: Bench) -> Made:
    return _revoked(bench, NOW - 9 * DAY, NOW - 5 * DAY, x509.ReasonFlags.superseded)


@genuine("revocation", "revoked-after-the-timestamp")
def _(bench: Bench) -> Made:
    return _revoked(bench, NOW - 9 * DAY, NOW - 5 * DAY, x509.ReasonFlags.superseded, stamp=NOW - 9 * DAY)


@genuine("revocation", "crl-inside-is-good")
def _(bench: Bench) -> Made:
    world = bench.world
    made = _signed_by(bench, world.signer, crls=[world.crl(world.ca), world.crl(world.root)])
    return Made(made.data, options={"require_revocation": True})


@attack("revocation", "nothing-known-and-required", "TRY_LATER", unsure=True)
def _(bench: Bench) -> Made:
    return Made(bench.signed().data, options={"require_revocation": True})


def _list(name: str, crl: Callable[[World], bytes], *, required: bool = True) -> None:
    """A list that proves nothing: with revocation required the verdict stays open."""

    @attack("revocation", name, "TRY_LATER", unsure=True)
    def _(bench: Bench) -> Made:
        world = bench.world
        made = _signed_by(bench, world.signer, crls=[crl(world), world.crl(world.root)])
        return Made(made.data, options={"require_revocation": True})


_list("crl-that-ended", lambda world: world.crl(world.ca, start=NOW - 9 * DAY, end=NOW - 2 * DAY))
_list("crl-of-a-look-alike", lambda world: world.crl(world.authority("Signers CA", None)))
_list("crl-of-another-authority", lambda world: world.crl(world.root))
_list("crl-from-the-future", lambda world: world.crl(world.ca, start=NOW + DAY, end=NOW + 2 * DAY))
_list("delta-crl", lambda world: world.crl(world.ca, more=[(x509.DeltaCRLIndicator(1), True)]))
_list(
    "crl-of-authorities-only",
    lambda world: world.crl(world.ca, more=[(_point(only_contains_ca_certs=True), True)]),
)
_list("indirect-crl", lambda world: world.crl(world.ca, more=[(_point(indirect_crl=True), True)]))


def _point(**options: Any) -> x509.IssuingDistributionPoint:
    values: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(values | options))


def _answer(name: str, ocsp: Callable[[World], bytes]) -> None:
    @attack("revocation", name, "TRY_LATER", unsure=True)
    def _(bench: Bench) -> Made:
        world = bench.world
        made = _signed_by(bench, world.signer, ocsps=[ocsp(world)], crls=[world.crl(world.root)])
        return Made(made.data, options={"require_revocation": True})


_answer(
    "ocsp-of-a-stranger",
    lambda world: world.ocsp(
        world.signer.certificate,
        world.ca,
        world.leaf("Responder", None, usage=ExtendedKeyUsageOID.OCSP_SIGNING),
    ),
)
_answer(
    "ocsp-of-a-signer",
    lambda world: world.ocsp(world.signer.certificate, world.ca, world.leaf("Responder", world.ca)),
)
_answer("ocsp-about-another", lambda world: world.ocsp(world.leaf("Other", world.ca).certificate, world.ca))
_answer(
    "ocsp-that-ended",
    lambda world: world.ocsp(world.signer.certificate, world.ca, at=NOW - 9 * DAY, until=NOW - 8 * DAY),
)


@genuine("revocation", "ocsp-inside-is-good")
def _(bench: Bench) -> Made:
    world = bench.world
    made = _signed_by(
        bench,
        world.signer,
        ocsps=[world.ocsp(world.signer.certificate, world.ca)],
        crls=[world.crl(world.root)],
    )
    return Made(made.data, options={"require_revocation": True})


@attack("revocation", "list-given-beside-revokes", "REVOKED", "REVOKED_NO_POE")
def _(bench: Bench) -> Made:
    world = bench.world
    holder = _with(bench)
    crl = world.crl(world.ca, [(holder.certificate, NOW - 5 * DAY, x509.ReasonFlags.key_compromise)])
    return Made(_signed_by(bench, holder).data, options={"data": OutsideData(crls=(crl,))})


# ---- timestamps


def _stamped(bench: Bench, token: Callable[[bytes], bytes]) -> Made:
    return _pdf(bench, lambda octets: bench.cms(octets, tokens=[token]))


@genuine("timestamps", "one")
def _(bench: Bench) -> Made:
    return _stamped(bench, bench.world.stamp(SIGN_AT))


@attack("timestamps", "copied-from-another-signature", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    token = bench.world.token(b"another signature", SIGN_AT)
    return _stamped(bench, lambda _: token)


@attack("timestamps", "over-the-document-in-place-of-the-signature", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    def over(octets: bytes) -> bytes:
        return bench.cms(octets, tokens=[bench.world.token(octets, SIGN_AT)])

    return _pdf(bench, over)


@attack("timestamps", "garbage", FORMAT, "HASH_FAILURE")
def _(bench: Bench) -> Made:
    return _stamped(bench, bench.cms)


@attack("timestamps", "token-of-a-changed-time", "SIG_CRYPTO_FAILURE", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    def moved(signature: bytes) -> bytes:
        token = bench.world.token(signature, SIGN_AT)
        now, then = (f"{time:%Y%m%d%H%M%S}Z".encode() for time in (SIGN_AT, SIGN_AT - 30 * DAY))
        assert token.count(now) == 1
        return token.replace(now, then)

    return _stamped(bench, moved)


@attack("timestamps", "signer-with-the-wrong-role-does-not-prove-time", "OUT_OF_BOUNDS_NO_POE", unsure=True)
def _(bench: Bench) -> Made:
    """The certificate has ended since; the token is by somebody who may not date anything."""
    world = bench.world
    old = _with(bench, start=NOW - 2 * YEAR, end=NOW - YEAR)
    return _signed_by(bench, old, tokens=[world.stamp(NOW - YEAR - DAY, world.signer)])


@attack("timestamps", "of-a-stranger-does-not-prove-time", "OUT_OF_BOUNDS_NO_POE", unsure=True)
def _(bench: Bench) -> Made:
    world = bench.world
    old = _with(bench, start=NOW - 2 * YEAR, end=NOW - YEAR)
    stranger = world.leaf("TSA", world.authority("Root", None), usage=ExtendedKeyUsageOID.TIME_STAMPING)
    return _signed_by(bench, old, tokens=[world.stamp(NOW - YEAR - DAY, stranger)])


@attack("timestamps", "document-timestamp-copied", "HASH_FAILURE")
def _(bench: Bench) -> Made:
    token = bench.world.token(b"another document", SIGN_AT)
    kind = bench.stamp().kind
    return Made(bench.signed().update(second(), sign=Signing(lambda _: token, 31, kind)).data)


@attack("timestamps", "document-timestamp-that-is-a-signature", FORMAT)
def _(bench: Bench) -> Made:
    return Made(bench.signed().update(second(), sign=Signing(bench.cms, 31, bench.stamp().kind)).data)


@genuine("timestamps", "document-timestamp")
def _(bench: Bench) -> Made:
    return Made(bench.signed().update(second(), sign=bench.stamp()).data)
