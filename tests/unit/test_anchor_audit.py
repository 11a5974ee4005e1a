"""The audit of anchors finds each that was swapped, dropped, forged, backdated or made for another history."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.trust import TrustStore
from timestamping.authority import EmbeddedAuthority
from timestamping.verify import Rfc3161Verifier
from vault.evidence.errors import LedgerUnavailable
from vault.ledger.anchor import Anchor, Links, crls_path, token_digest
from vault.ledger.anchor_audit import AnyAuthority, audit_anchors
from vault.ledger.anchor_paths import anchor_path
from vault.ledger.entry import GENESIS_PREV, LogEntry, LogEvent, encode, encode_record, leaf_hash
from vault.ledger.files import ComputedTiles
from vault.ledger.findings import AuditReport
from vault.ledger.keys import LedgerKeys
from vault.ledger.policy import Policy
from vault.ledger.tiles import Tile, changed_bundles, encode_bundle
from vault.ledger.tree import EMPTY_ROOT

ORIGIN = "safe.example/ledger/1"
KEYS = LedgerKeys.new(ORIGIN)
POLICY = Policy.from_vkeys("\n".join(KEYS.vkeys))
TIME = "2026-01-04T00:00:00.000Z"
SIZE = 1_300
# Sizes and dates of anchors over two years: several a month, months without one, two firsts of a year.
DATES = {
    10: datetime(2026, 1, 5, tzinfo=UTC),
    300: datetime(2026, 1, 20, tzinfo=UTC),
    512: datetime(2026, 2, 3, tzinfo=UTC),
    700: datetime(2026, 11, 9, tzinfo=UTC),
    900: datetime(2027, 1, 2, tzinfo=UTC),
    1000: datetime(2027, 1, 3, tzinfo=UTC),
    1290: datetime(2027, 3, 1, tzinfo=UTC),
}


class Clock:
    at = DATES[10]

    def now(self) -> datetime:
        return self.at


class Outsider:
    """A timestamp authority of somebody else."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority")])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        root = self._build(self._name, self._key, ca=True).sign(self._key, hashes.SHA256())
        unit = self._build(name, key, ca=False).add_extension(usage, critical=True)
        certificate = unit.sign(self._key, hashes.SHA256())
        self._authority = EmbeddedAuthority(key, (certificate,), "1.2.3.4", self.clock)
        self.verifier = Rfc3161Verifier(TrustStore([root]))

    def _build(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool
    ) -> x509.CertificateBuilder:
        own, begun = key.public_key(), datetime(2025, 1, 1, tzinfo=UTC)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        key_usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(own)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begun)
            .not_valid_after(begun + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(key_usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
            .add_extension(signer, critical=False)
        )

    def stamp(self, anchor: Anchor, at: datetime) -> tuple[bytes, bytes]:
        """Return a token and the revocation list of its day, PEM."""
        self.clock.at = at
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(at - timedelta(minutes=1))
            .next_update(at + timedelta(days=1))
            .add_extension(signer, critical=False)
            .add_extension(x509.CRLNumber(1), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return self._authority.token(anchor.imprint).der, crl.public_bytes(Encoding.PEM)


OUTSIDER = Outsider()


def bodies(tag: bytes = bytes(32)) -> list[bytes]:
    genesis = {"origin": ORIGIN, "generation": 1, "keys": {}, "previous": ""}
    found = [encode(LogEntry(0, GENESIS_PREV, TIME, LogEvent.OPENED, genesis))]
    for seq in range(1, SIZE):
        found.append(encode_record(seq, leaf_hash(found[-1]), TIME, tag, bytes([seq % 256]) * 32))
    return found


def tree(entries: list[bytes]) -> tuple[dict[str, bytes], dict[int, bytes]]:
    """Published files of a log, and its checkpoint at the size of each anchor."""
    files: dict[str, bytes] = {}
    notes: dict[int, bytes] = {}
    computed = ComputedTiles()
    for body in entries:
        files |= {Tile(level, index).path: row for level, index, row in computed.add(leaf_hash(body))}
        if computed.size in {*DATES, len(entries)}:
            notes[computed.size] = KEYS.sign_checkpoint(computed.size, computed.root(), DATES[10])
    files |= {Tile(level, index, len(row) // 32).path: row for level, index, row in computed.partial()}
    for bundle in changed_bundles(0, len(entries)):
        start = bundle.index * 256
        files[bundle.path] = encode_bundle(entries[start : start + bundle.width])
    files["checkpoint"] = notes[len(entries)]
    return files, notes


TREE, NOTES = tree(bodies())
_, FORKED_NOTES = tree(bodies(tag=b"\x01" * 32))


class Files(dict[str, bytes]):
    """A published log with its anchors, in memory."""

    def read(self, path: str, limit: int) -> bytes | None:
        return self.get(path)

    def anchors(self) -> list[int] | None:
        return sorted(
            int(path[7:-4]) for path in self if path.startswith("anchor/") and path.endswith(".tst")
        )

    def put(self, size: int, note: bytes, links: Links, at: datetime, by: Outsider = OUTSIDER) -> bytes:
        anchor = Anchor.of(note, links)
        token, crl = by.stamp(anchor, at)
        self |= {anchor_path(size): anchor.encode(), f"{anchor_path(size)}.tst": token, crls_path(token): crl}
        return token_digest(token)


Change = Callable[[int, bytes, Links, datetime], tuple[bytes, Links, datetime, Outsider]]


def made(change: Change | None = None) -> Files:
    """Anchors as the format says, each changed before it is made and linked to."""
    files = Files(TREE)
    done: list[tuple[datetime, bytes]] = []
    for size, date in DATES.items():
        links = Links()
        if done:
            last = done[-1][0]
            month = next(digest for at, digest in done if (at.year, at.month) == (last.year, last.month))
            year = next(digest for at, digest in done if at.year == last.year)
            links = Links(
                done[-1][1],
                month if (date.year, date.month) != (last.year, last.month) else None,
                year if date.year != last.year else None,
            )
        note, at, by = NOTES[size], date, OUTSIDER
        if change is not None:
            note, links, at, by = change(size, note, links, date)
        done.append((date, files.put(size, note, links, at, by)))
    return files


SOUND = made()


def audited(files: Files, **more: object) -> AuditReport:
    report = audit_anchors(files, POLICY, OUTSIDER.verifier, **more)  # type: ignore[arg-type]
    assert report is not None
    return report


def found(files: Files) -> list[tuple[str, str]]:
    problems = audited(files).problems
    assert all(item.check == "anchors" and item.entry == int(item.where[7:]) - 1 for item in problems)
    return [(item.code, item.where) for item in problems]


def test_anchors_as_they_should_be() -> None:
    steps: list[tuple[int, int]] = []
    report = audited(SOUND, progress=lambda *step: steps.append(step))
    assert (report.problems, report.checked, report.size, report.origin) == ([], 7, SIZE, ORIGIN)
    assert report.root != EMPTY_ROOT
    assert steps[-1] == (7, 7)
    months = [size for size in DATES if Anchor.parse(SOUND[anchor_path(size)]).links.month is not None]
    assert months == [512, 700, 900, 1290]
    assert audited(Files(TREE)).checked == 0


def test_tokens_swapped() -> None:
    files = Files(SOUND)
    one, other = f"{anchor_path(512)}.tst", f"{anchor_path(700)}.tst"
    files[one], files[other] = files[other], files[one]
    problems = found(files)
    assert ("ANCHOR_TOKEN_MISMATCH", "anchor 512") in problems
    assert ("ANCHOR_TOKEN_MISMATCH", "anchor 700") in problems
    assert ("ANCHOR_CHAIN_BROKEN", "anchor 900") in problems


@pytest.mark.parametrize(("dropped", "named"), [(10, 300), (300, 512), (700, 900), (1000, 1290)])
def test_one_dropped_in_the_middle(dropped: int, named: int) -> None:
    files = Files(SOUND)
    for path in (anchor_path(dropped), f"{anchor_path(dropped)}.tst"):
        del files[path]
    assert found(files)[0] == ("ANCHOR_CHAIN_BROKEN", f"anchor {named}")
    expected = token_digest(SOUND[f"{anchor_path(dropped)}.tst"]).hex()
    assert expected in audited(files).problems[0].found


def test_one_of_a_fork() -> None:
    """All is as it should be, signed by the log, dated and linked: only the tree tells."""
    forked = made(
        lambda size, note, links, at: (FORKED_NOTES[size] if size == 700 else note, links, at, OUTSIDER)
    )
    assert found(forked) == [("LEDGER_FORKED", "anchor 700")]


def test_one_of_a_longer_log() -> None:
    files = Files(SOUND | tree(bodies()[:1000])[0])
    assert found(files) == [("LEDGER_TRUNCATED", "anchor 1290")]


def test_one_that_the_log_did_not_sign() -> None:
    others = LedgerKeys.new(ORIGIN)

    def forge(size: int, note: bytes, links: Links, at: datetime) -> tuple[bytes, Links, datetime, Outsider]:
        if size == 700:
            root = Anchor.of(note, links).checkpoint.root
            note = others.sign_checkpoint(size, root, at)
        return note, links, at, OUTSIDER

    assert found(made(forge)) == [("LOG_SIGNATURE_MISSING", "anchor 700")]


@pytest.mark.parametrize(("size", "at"), [(512, DATES[10]), (900, DATES[512])])
def test_a_date_before_that_of_the_one_before(size: int, at: datetime) -> None:
    problems = found(
        made(lambda number, note, links, date: (note, links, at if number == size else date, OUTSIDER))
    )
    assert ("ANCHOR_TIME", f"anchor {size}") in problems


def test_a_date_before_that_of_its_entries() -> None:
    early = datetime(2026, 1, 3, 23, tzinfo=UTC)
    problems = found(
        made(lambda size, note, links, date: (note, links, early if size == 10 else date, OUTSIDER))
    )
    assert problems == [("ANCHOR_TIME", "anchor 10")]
    near = datetime(2026, 1, 3, 23, 58, tzinfo=UTC)
    assert (
        found(made(lambda size, note, links, date: (note, links, near if size == 10 else date, OUTSIDER)))
        == []
    )


@pytest.mark.parametrize("name", ["month", "year"])
def test_a_link_far_back_that_is_another(name: str) -> None:
    def change(size: int, note: bytes, links: Links, at: datetime) -> tuple[bytes, Links, datetime, Outsider]:
        wrong = bytes(32)
        if size == 900 and name == "month":
            links = Links(links.previous, wrong, links.year)
        if size == 900 and name == "year":
            links = Links(links.previous, links.month, wrong)
        return note, links, at, OUTSIDER

    (problem,) = audited(made(change)).problems
    assert (problem.code, problem.where) == ("ANCHOR_CHAIN_BROKEN", "anchor 900")
    assert problem.expected.startswith(f"previous-{name} ")


@pytest.mark.parametrize("links", [Links(b"\x01" * 32), Links(month=b"\x01" * 32), Links(year=b"\x01" * 32)])
def test_a_first_one_that_names_others(links: Links) -> None:
    def change(size: int, note: bytes, given: Links, at: datetime) -> tuple[bytes, Links, datetime, Outsider]:
        return note, links if size == 10 else given, at, OUTSIDER

    assert found(made(change)) == [("ANCHOR_CHAIN_BROKEN", "anchor 10")]


def test_an_authority_nobody_trusts() -> None:
    stranger = Outsider()
    files = made(lambda size, note, links, at: (note, links, at, stranger if size == 700 else OUTSIDER))
    (problem,) = audited(files).problems
    assert (problem.code, problem.where) == ("NO_CERTIFICATE_CHAIN_FOUND", "anchor 700")
    assert audited(files).verdict == "INDETERMINATE"
    any_of_them = audit_anchors(files, POLICY, Rfc3161Verifier(AnyAuthority()))
    assert any_of_them is not None
    assert any_of_them.ok, "who is to be trusted was not said"


def test_files_that_are_not_there_or_misnamed() -> None:
    files = Files(SOUND)
    del files[anchor_path(700)]
    assert found(files) == [("OBJECT_MISSING", "anchor 700")]
    files = Files(SOUND)
    del files[crls_path(SOUND[f"{anchor_path(700)}.tst"])]
    assert audited(files).verdict == "INDETERMINATE"
    files = Files(SOUND)
    for end in ("", ".tst"):
        files[anchor_path(701) + end] = files.pop(anchor_path(700) + end)
    assert found(files) == [("ANCHOR_MISMATCH", "anchor 701")]


@settings(max_examples=60)
@given(st.data())
def test_one_changed_octet_is_found(data: st.DataObject) -> None:
    files, last = Files(SOUND), max(DATES)
    ends = [(size, end) for size in DATES for end in ("", ".tst") if (size, end) != (last, ".tst")]
    size, end = data.draw(st.sampled_from(ends))
    content = bytearray(files[anchor_path(size) + end])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    files[anchor_path(size) + end] = bytes(content)
    assert not audited(files).ok


def test_those_known_from_before_are_not_read_again() -> None:
    asked: list[str] = []

    class Asked(Files):
        def read(self, path: str, limit: int) -> bytes | None:
            asked.append(path)
            return super().read(path, limit)

    report = audited(Asked(SOUND), after=800)
    assert (report.problems, report.checked) == ([], 4)
    assert anchor_path(512) not in asked
    assert anchor_path(700) in asked
    files = Asked(SOUND)
    for end in ("", ".tst"):
        del files[anchor_path(900) + end]
    assert audited(files, after=800).problems[0].code == "ANCHOR_CHAIN_BROKEN"


def test_a_list_that_cannot_be_had() -> None:
    class Unlisted(Files):
        def anchors(self) -> list[int] | None:
            return None

    class Away(Files):
        def anchors(self) -> list[int] | None:
            raise LedgerUnavailable("LEDGER_UNAVAILABLE", "anchors: HTTP 503")

    assert audit_anchors(Unlisted(SOUND), POLICY, OUTSIDER.verifier) is None
    assert audited(Away(SOUND)).verdict == "INDETERMINATE"


def test_the_digest_of_an_anchor_is_what_its_token_covers() -> None:
    anchor = Anchor.parse(SOUND[anchor_path(10)])
    assert hashlib.sha256(SOUND[anchor_path(10)]).digest() == anchor.imprint
