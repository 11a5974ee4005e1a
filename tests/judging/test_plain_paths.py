"""The short way to a certificate path never says yes where the full validator says no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from signing.errors import SignatureRefused
from signing.foreign_paths import ForeignPaths
from signing.plain_paths import PlainPath, PlainPaths
from signing.trust import TrustStore
from tests.interop.foreign.corpus import Row, rows
from tests.mutants.seeds import seeds
from vault.evidence.findings import Verdict
from vault.evidence.verify import verify_file

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)
OID = x509.ObjectIdentifier
KINDS = ("p256", "p384", "rsa", "ed25519", "ed448")
_numbers = count(1000)


@cache
def key(kind: str, number: int) -> Any:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ed448":
        return ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1() if kind == "p256" else ec.SECP384R1())


def name(
    text: str, kind: x509.ObjectIdentifier = NameOID.COMMON_NAME, form: _ASN1Type | None = None
) -> x509.Name:
    if not text:
        return x509.Name([])
    country = x509.NameAttribute(NameOID.COUNTRY_NAME, "MC")
    return x509.Name([country, x509.NameAttribute(kind, text, form)])


@dataclass
class Plan:
    """What a certificate is to be; oddities change it before it is signed, or its octets after."""

    subject: x509.Name
    kind: str = "p256"
    number: int = 0
    serial: int = field(default_factory=lambda: next(_numbers))
    issuer: x509.Name | None = None
    start: datetime = NOW - YEAR
    end: datetime = NOW + YEAR
    digest: Any = field(default_factory=hashes.SHA256)
    pss: bool = False
    signer: Any = None
    authority: bool = True
    basic: x509.BasicConstraints | None = field(default_factory=lambda: x509.BasicConstraints(True, None))
    usage: bool | None = True  # whether keyCertSign is there; None: no keyUsage
    identifier: bytes | None = None  # in the authority key identifier; None: the issuer's
    more: list[tuple[x509.ExtensionType, bool]] = field(default_factory=list)
    broken: Callable[[bytes], bytes] = bytes

    def made(self, issuer: Plan) -> x509.Certificate:
        own, above = key(self.kind, self.number), key(issuer.kind, issuer.number)
        builder = x509.CertificateBuilder(
            self.issuer or issuer.subject, self.subject, own.public_key(), self.serial, self.start, self.end
        )
        if self.basic is not None:
            builder = builder.add_extension(self.basic, critical=True)
        if self.usage is not None:
            flags = dict.fromkeys(
                (
                    "content_commitment",
                    "key_encipherment",
                    "data_encipherment",
                    "key_agreement",
                    "encipher_only",
                ),
                False,
            )
            usage = x509.KeyUsage(
                digital_signature=not self.authority,
                key_cert_sign=self.authority and self.usage,
                crl_sign=True,
                decipher_only=False,
                **flags,
            )
            builder = builder.add_extension(usage, critical=True)
        subject_id = x509.SubjectKeyIdentifier.from_public_key(own.public_key())
        above_id = x509.SubjectKeyIdentifier.from_public_key(above.public_key()).digest
        builder = builder.add_extension(subject_id, critical=False)
        if not any(isinstance(each, x509.AuthorityKeyIdentifier) for each, _ in self.more):
            stated = x509.AuthorityKeyIdentifier(self.identifier or above_id, None, None)
            builder = builder.add_extension(stated, critical=False)
        for extension, critical in self.more:
            builder = builder.add_extension(extension, critical)
        signer = self.signer or above
        digest = (
            None if isinstance(signer, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else self.digest
        )
        scheme = (
            padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            if self.pss and isinstance(signer, rsa.RSAPrivateKey)
            else None
        )
        made = builder.sign(signer, digest, rsa_padding=scheme)
        return x509.load_der_x509_certificate(self.broken(made.public_bytes(Encoding.DER)))


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _more(extension: x509.ExtensionType, *, critical: bool = False) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        plan.more = [item for item in plan.more if item[0].oid != extension.oid]
        plan.more.append((extension, critical))

    return change


def _set(**values: Any) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        for attribute, value in values.items():
            setattr(plan, attribute, value)

    return change


def _policies(*oids: str, qualifier: Any = None) -> x509.CertificatePolicies:
    qualifiers = None if qualifier is None else [qualifier]
    return x509.CertificatePolicies([x509.PolicyInformation(OID(oid), qualifiers) for oid in oids])


_ELSEWHERE = x509.DirectoryName(name("Elsewhere"))
_MONACO = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "MC")]))
_PATH_LENGTH = [_set(basic=x509.BasicConstraints(True, length)) for length in (0, 1, 5)]

#: With these a certificate stays plain, at least as a signer's.
HARMLESS: dict[str, Callable[[Plan], None]] = {
    "accents": _set(subject=name("Autorité de Monaco, œuvre no 1")),
    "policies": _more(_policies("1.2.3.4", "1.2.3.5", qualifier="https://example.test/cps")),
    "any policy": _more(_policies("2.5.29.32.0")),
    "usage of keys": _more(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True),
    "no check": _more(x509.OCSPNoCheck()),
    "statements": _more(x509.UnrecognizedExtension(OID("1.3.6.1.5.5.7.1.3"), b"\x30\x00"), critical=True),
    "long path": _PATH_LENGTH[2],
    "other digest": _set(digest=hashes.SHA512()),
    "printable": _set(subject=name("Printable", form=_ASN1Type.PrintableString)),
}
#: With these it is not, whether the full validator minds or not.
UNUSUAL: dict[str, Callable[[Plan], None]] = {
    "expired by itself": _set(start=NOW - 3 * YEAR, end=NOW - 2 * YEAR),
    "not yet valid": _set(start=NOW + 2 * YEAR, end=NOW + 3 * YEAR),
    "another key signed": _set(signer=key("p256", 99)),
    "signature changed": _set(broken=flipped),
    "wrong key identifier": _set(identifier=b"\x05" * 20),
    "issuer by number": _more(x509.AuthorityKeyIdentifier(b"\x05" * 20, [_ELSEWHERE], 5)),
    "unknown critical": _more(x509.UnrecognizedExtension(OID("1.2.3.4.5"), b"\x05\x00"), critical=True),
    "unknown": _more(x509.UnrecognizedExtension(OID("1.2.3.4.5"), b"\x05\x00")),
    "other names": _more(x509.SubjectAlternativeName([x509.RFC822Name("a@example.test")])),
    "notice": _more(_policies("1.2.3", qualifier=x509.UserNotice(None, "read me"))),
    "explicit policy": _more(x509.PolicyConstraints(0, None), critical=True),
    "no mapping": _more(x509.PolicyConstraints(None, 0), critical=True),
    "no any policy": _more(x509.InhibitAnyPolicy(0), critical=True),
    "mapping": _more(x509.UnrecognizedExtension(OID("2.5.29.33"), bytes.fromhex("300a300806022a0306022a04"))),
    "permitted elsewhere": _more(x509.NameConstraints([_ELSEWHERE], None), critical=True),
    "permitted here": _more(x509.NameConstraints([_MONACO], None), critical=True),
    "excluded": _more(x509.NameConstraints(None, [_MONACO]), critical=True),
    "address in the name": _set(subject=name("a@example.test", NameOID.EMAIL_ADDRESS)),
    "private letters": _set(subject=name("Private \ue000")),
    "Greek": _set(subject=name("Αρχή")),
    "two directions": _set(subject=name("a\u05d0b")),
    "no name": _set(subject=name("")),
    "two bytes a letter": _set(subject=name("Wide", form=_ASN1Type.BMPString)),
    "IA5": _set(subject=name("Old", form=_ASN1Type.IA5String)),
    "numbers": _set(subject=name("123", form=_ASN1Type.NumericString)),
    "issuer spelt otherwise": _set(issuer=name("AUTHORITY  0")),
    "self-issued": lambda plan: setattr(plan, "subject", plan.issuer or plan.subject),
}
#: These say something about authorities only.
OF_AUTHORITIES: dict[str, Callable[[Plan], None]] = {
    "no authority": _set(basic=x509.BasicConstraints(False, None)),
    "no basic constraints": _set(basic=None),
    "may not sign": _set(usage=False),
    "says no usage": _set(usage=None),
    "short path": _PATH_LENGTH[0],
    "path of one": _PATH_LENGTH[1],
}
ODDITIES = HARMLESS | UNUSUAL | OF_AUTHORITIES | {"pss": _set(pss=True)}
#: Certificates that somebody adds.
EXTRAS = ("root", "leaf", "twin", "same name", "same name in capitals", "same number", "cross", "stranger")


@dataclass
class World:
    anchors: list[x509.Certificate]
    leaf: x509.Certificate
    others: list[x509.Certificate]


def world(
    kinds: Sequence[str] = ("p256", "p256", "p256"),
    odd: Sequence[tuple[int, str]] = (),
    extras: Sequence[str] = (),
) -> World:
    """Make a chain, root first; oddities by place in it."""
    plans = [Plan(name(f"Authority {number}"), kind, number) for number, kind in enumerate(kinds)]
    leaf = plans[-1]
    leaf.subject, leaf.authority, leaf.basic = name("Signer"), False, None
    chain: list[x509.Certificate] = []
    for number, plan in enumerate(plans):
        above = plans[max(number - 1, 0)]
        for place, what in odd:
            if place % len(plans) == number:
                if what == "self-issued":
                    plan.issuer = above.subject
                ODDITIES[what](plan)
        chain.append(plan.made(above))
    others = chain[1:-1]
    anchors = [chain[0]]
    for extra in extras:
        last = plans[-2]
        if extra == "root":
            others.append(chain[0])
        elif extra == "leaf":
            others.append(chain[-1])
        elif extra == "twin":
            others += others
        elif extra == "stranger":
            others.append(Plan(name("Stranger"), number=50).made(Plan(name("Nowhere"), number=51)))
        elif extra == "same number":
            others.append(Plan(name("Numbered"), number=52, serial=leaf.serial).made(last))
        elif extra == "cross":
            second = Plan(name("Second root"), number=53)
            anchors.append(second.made(second))
            others.append(Plan(last.subject, last.kind, last.number).made(second))
        else:
            capitals = extra == "same name in capitals"
            subject = name("AUTHORITY  1") if capitals else last.subject
            others.append(Plan(subject, number=54).made(plans[0]))
    return World(anchors, chain[-1], others)


def said(paths: ForeignPaths, it: World, at: datetime) -> tuple[Any, ...]:
    try:
        found = paths._find(it.leaf, it.others, at)
    except SignatureRefused as error:
        return ("refused", error.code)
    except Exception:
        return ("refused", "CERTIFICATE_CHAIN_GENERAL_FAILURE")
    return (found.path, found.start, found.end)


def holds(paths: ForeignPaths, path: Sequence[x509.Certificate], at: datetime) -> bool:
    """Whether the full validator finds this very path at a time; it may only refuse it for the time."""
    try:
        return paths._library.validate(path[0], path[1:-1], (), at) == path
    except SignatureRefused as error:
        if error.code not in {"EXPIRED", "NOT_YET_VALID"}:
            raise
        return False


def check(it: World) -> bool:
    """Both ways say the same at any time; returns whether the short one found the path."""
    plain = PlainPaths(it.anchors).find(it.leaf, it.others)
    slow = ForeignPaths(it.anchors)
    slow._plain = PlainPaths(())
    times = {NOW, NOW - 5 * YEAR, NOW + 5 * YEAR}
    if plain is not None:
        times |= {plain.start, plain.end, plain.start - DAY, plain.end + DAY}
    for at in sorted(times):
        expected = said(slow, it, at)
        assert said(ForeignPaths(it.anchors), it, at) == expected
        if plain is not None:
            # The full validator agrees with the path at every time of the span, and with nothing outside of it.
            assert expected == (plain.path, plain.start, plain.end)
            assert holds(slow, plain.path, at) == (plain.start <= at <= plain.end)
    return plain is not None


@pytest.mark.parametrize(
    "kinds", [("p256", "p256"), ("rsa", "rsa", "p256"), ("p384", "ed25519", "rsa", "rsa")]
)
@pytest.mark.parametrize("odd", ["", *HARMLESS])
def test_plain_paths_are_found(kinds: tuple[str, ...], odd: str) -> None:
    for place in {len(kinds) - 1, 1}:
        assert check(world(kinds, [(place, odd)] if odd else []))


@pytest.mark.parametrize("extra", ["root", "leaf", "twin", "stranger"])
def test_what_has_nothing_to_do_with_a_path_does_not_hinder_it(extra: str) -> None:
    assert check(world(extras=[extra]))


@pytest.mark.parametrize("place", [1, 2])
@pytest.mark.parametrize("odd", UNUSUAL)
def test_whatever_is_unusual_goes_to_the_full_validator(odd: str, place: int) -> None:
    found = check(world(odd=[(place, odd)]))
    assert not found or odd in {"expired by itself", "not yet valid"}


@pytest.mark.parametrize("odd", [*OF_AUTHORITIES, "permitted here", "excluded"])
def test_what_authorities_may_not_do(odd: str) -> None:
    for place, kinds in ((1, ["p256"] * 3), (1, ["p256"] * 4), (0, ["p256"] * 3)):
        found = check(world(kinds, [(place, odd)]))
        allowed = {
            "path of one": True,
            "short path": len(kinds) == 3 and place == 1,
            "says no usage": place == 0,
        }
        assert found == allowed.get(odd, False)


@pytest.mark.parametrize("extra", ["same name", "same name in capitals", "same number", "cross"])
def test_two_that_could_stand_in_one_place(extra: str) -> None:
    assert not check(world(extras=[extra]))


@pytest.mark.parametrize("kinds", [("ed448", "p256"), ("p256", "ed448", "p256")])
def test_keys_and_algorithms_that_are_not_plain(kinds: tuple[str, ...]) -> None:
    assert not check(world(kinds))


def test_pss_and_old_digests_are_not_plain() -> None:
    assert not check(world(("rsa", "rsa", "rsa"), [(2, "pss")]))
    old = world(("rsa", "rsa"), [(1, "other digest")])
    weak = bytes.fromhex("2a864886f70d010105")  # sha1WithRSAEncryption where sha512WithRSAEncryption stood
    data = old.leaf.public_bytes(Encoding.DER).replace(bytes.fromhex("2a864886f70d01010d"), weak)
    assert not check(World(old.anchors, x509.load_der_x509_certificate(data), []))


def test_too_many_and_too_long() -> None:
    assert not check(world(["p256"] * 11))
    strangers = [
        Plan(name(f"S {number}"), number=50).made(Plan(name("N"), number=51)) for number in range(33)
    ]
    it = world()
    assert not check(World(it.anchors, it.leaf, [*it.others, *strangers]))


_CHAINS = st.tuples(
    st.lists(st.sampled_from(KINDS[:4]), min_size=2, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from(sorted(ODDITIES))), max_size=3),
    st.lists(st.sampled_from(EXTRAS), max_size=2),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_CHAINS)
def test_any_chain(chain: tuple[list[str], list[tuple[int, str]], list[str]]) -> None:
    check(world(*chain))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2), st.data())
def test_any_octet_changed(place: int, data: st.DataObject) -> None:
    """A certificate of a plain path with one octet changed: never a path that the full validator does not find."""
    it = _BASE
    certificates = [it.leaf, *it.others, *it.anchors]
    octets = bytearray(certificates[place].public_bytes(Encoding.DER))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    try:
        certificates[place] = x509.load_der_x509_certificate(bytes(octets))
    except ValueError:
        return
    assert not check(World(certificates[2:], certificates[0], certificates[1:2])) or place == 2


_BASE = world()


def _same_verdict(monkeypatch: pytest.MonkeyPatch, judge: Callable[[], Verdict]) -> None:
    short = judge()
    with monkeypatch.context() as patch:
        patch.setattr(PlainPaths, "find", lambda *_: None)
        assert judge() == short


@pytest.mark.parametrize("row", rows(), ids=lambda row: Path(row.file).name)
def test_files_of_other_makers_get_the_same_verdict(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    originals = row.originals(tmp_path)

    judge = partial(verify_file, row.path, original=originals, digests=row.digests, at=row.time or NOW)
    _same_verdict(monkeypatch, lambda: judge(trust=TrustStore(row.trust())))


def test_files_of_our_own_makers_get_the_same_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    find = PlainPaths.find

    def counted(*arguments: Any) -> PlainPath | None:
        taken.append(find(*arguments))
        return taken[-1]

    monkeypatch.setattr(PlainPaths, "find", counted)
    for number, seed in enumerate(seeds()):
        path = tmp_path / f"{number}"
        path.write_bytes(seed.data)
        originals = [tmp_path / f"{number}-{index}" for index in range(len(seed.over))]
        for original, content in zip(originals, seed.over, strict=True):
            original.write_bytes(content)

        judge = partial(verify_file, path, original=originals, digests=seed.digests, at=seed.at)
        fresh = partial(TrustStore, seed.trust.anchors)
        _same_verdict(monkeypatch, lambda judge=judge, fresh=fresh: judge(trust=fresh()))  # type: ignore[misc]
    # The comparison says something only where the short way is taken.
    assert sum(each is not None for each in taken) > len(seeds()) // 4
