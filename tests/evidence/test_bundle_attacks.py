"""Attacks on evidence bundles: flips, swaps, drops and forgeries, also with everything outside made anew."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from signing.asic import Reference, build_manifest
from signing.cades import CadesSealer
from signing.cms_read import parse_cms
from signing.dev_pki import DevPki
from signing.keys import SealKey
from signing.pdf_signatures import pdf_signatures
from signing.pdf_values import pdf_date, split_contents
from signing.trust import TrustStore
from vault.evidence import layout
from vault.evidence.build import member_media_type
from vault.evidence.layout import Index, Listed
from vault.evidence.report import Outcome, Verdict
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy

Judge = Callable[..., Verdict]
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def judge(safe: Any, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Judges octets with the safe's own trust."""
    path = tmp_path_factory.mktemp("judged") / "file"
    trust, policy = safe.trust(), safe.log.policy()

    def run(data: bytes, **changes: Any) -> Verdict:
        path.write_bytes(data)
        return verify_file(path, **{"trust": trust, "policy": policy, **changes})

    return run


@pytest.fixture(scope="module")
def act(safe: Any) -> Any:
    """An act that was superseded, then revoked."""
    first = safe.issue("premier", "acte.pdf")
    second = safe.issue("second", "acte corrigé.pdf")
    safe.supersede(first, second)
    safe.log.append(bytes(32), bytes(32))
    safe.revoke(first)
    return first


@pytest.fixture(scope="module")
def other_act(safe: Any) -> Any:
    return safe.issue("autre", "autre.pdf")


@pytest.fixture(scope="module")
def attachment(safe: Any) -> Any:
    return safe.deposit()


@pytest.fixture(scope="module")
def other_attachment(safe: Any) -> Any:
    return safe.deposit(b"<autre/>", "autre.xml")


@pytest.fixture(scope="module")
def rival(safe: Any) -> SealKey:
    """The evidence seal of another safe's service, under the same root."""
    return safe.another_evidence_seal()


@pytest.fixture(scope="module")
def anew(
    safe: Any, rival: SealKey, members_of: Callable[[bytes], Files], pack: Callable[[Files], bytes]
) -> Any:
    """Makes evidence.json and the evidence seal anew over changed members, as a trusted service could."""

    def make(files: Mapping[str, bytes], key: SealKey | None = rival, **index: Any) -> bytes:
        kept = {
            name: data for name, data in files.items() if not name.startswith("META-INF/") or "001" in name
        }
        # What an honest bundle sealed by this key would hold besides.
        if key is not None:
            material = safe.material(key)
            kept = {**safe.as_members(material), **kept}
        old = Index.parse(kept[layout.INDEX])
        document = next(name for name in kept if layout.role_of(name) == "document")
        listed = tuple(
            Listed(name, layout.role_of(name) or "", safe.sha256(kept[name]), len(kept[name]))
            for name in sorted(kept, key=layout.rank)
            if name not in layout.UNLISTED
        )
        made = replace(
            old,
            name=document.removeprefix(layout.DOCUMENT_FOLDER),
            sha256=safe.sha256(kept[document]),
            size=len(kept[document]),
            members=listed,
            **index,
        )
        kept[layout.INDEX] = made.encode()
        if key is None:
            return pack(kept)
        references = [
            Reference(
                name,
                made.media_type if name == document else member_media_type(name),
                bytes.fromhex(safe.sha256(kept[name])),
            )
            for name in sorted(kept, key=layout.rank)
        ]
        revision = safe.seal(references, key)
        kept[layout.EVIDENCE_MANIFEST] = revision.manifest
        kept[layout.EVIDENCE_SIGNATURE] = revision.signature
        return pack(kept)

    return make


def codes(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons}


def refused(verdict: Verdict, *expected: str) -> None:
    """A refusal that names its reasons, each with the check it comes from."""
    assert verdict.verdict is not Outcome.PASSED
    assert set(expected) <= codes(verdict), verdict.reasons
    names = [check.name for check in verdict.checks if check.outcome is not Outcome.PASSED]
    assert all(any(reason.message.startswith(f"{name}: ") for name in names) for reason in verdict.reasons)


# ---- octets flipped


def flips(data: bytes, count: int, seed: int) -> Any:
    """Yield (place, changed copy): bits and whole octets, at places spread over the file."""
    draw = random.Random(seed)
    for place in draw.sample(range(len(data)), min(count, len(data))):
        changed = bytearray(data)
        changed[place] ^= 1 << draw.randrange(8) if draw.random() < 0.7 else draw.randrange(1, 256)
        yield place, bytes(changed)


def flipped(judge: Judge, data: bytes, count: int, seed: int) -> None:
    assert judge(data).verdict is Outcome.PASSED
    for place, changed in flips(data, count, seed):
        verdict = judge(changed)
        assert verdict.verdict is not Outcome.PASSED, f"octet {place} changed and nobody noticed"
        reason = verdict.reasons[0]
        part = reason.message.partition(": ")[0]
        assert reason.code.isupper(), place
        assert part in {"container", "members", "file"} or part.startswith(("member ", "document.")), part


@pytest.mark.parametrize(
    ("kind", "count"), [("pdf", 800), ("act", 900), ("attachment", 500), ("unsealed", 400)]
)
def test_no_flip_goes_unnoticed(
    kind: str, count: int, safe: Any, act: Any, attachment: Any, judge: Judge
) -> None:
    flipped(judge, _target(kind, safe, act, attachment), count, seed=20261122)


@pytest.mark.soak("flips")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", ["pdf", "act", "attachment", "unsealed"])
def test_no_flip_of_any_octet_goes_unnoticed(
    kind: str, safe: Any, act: Any, attachment: Any, judge: Judge
) -> None:
    data = _target(kind, safe, act, attachment)
    for seed in range(3):
        flipped(judge, data, len(data), seed)


def _target(kind: str, safe: Any, act: Any, attachment: Any) -> bytes:
    made: bytes = {
        "pdf": lambda: act.content,
        "act": lambda: safe.bundle(act),
        "attachment": lambda: safe.bundle(attachment),
        "unsealed": lambda: safe.bundle(attachment, sealed=False),
    }[kind]()
    return made


def test_no_flip_inside_a_member_goes_unnoticed_with_all_around_it_made_anew(
    safe: Any, act: Any, attachment: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    """CRC, evidence.json and evidence seal are right again: the inner bindings alone must refuse."""
    for document in (act, attachment):
        files = members_of(safe.bundle(document, sealed=False))
        assert judge(anew(files)).verdict is Outcome.PASSED
        for name in files:
            if name in {layout.INDEX, layout.EVIDENCE_MANIFEST, layout.EVIDENCE_SIGNATURE}:
                continue
            for _, changed in flips(files[name], 12, seed=len(name)):
                verdict = judge(anew({**files, name: changed}))
                assert verdict.verdict is not Outcome.PASSED, name
                refused(verdict)


# ---- members dropped, added, swapped


@pytest.mark.parametrize("sealed", [True, False])
def test_every_member_dropped(
    sealed: bool,
    safe: Any,
    act: Any,
    attachment: Any,
    judge: Judge,
    members_of: Callable[[bytes], Files],
    pack: Callable[[Files], bytes],
) -> None:
    for document in (act, attachment):
        files = members_of(safe.bundle(document, sealed=sealed))
        for name in files:
            verdict = judge(pack({other: data for other, data in files.items() if other != name}))
            refused(verdict, "MEMBER_MISSING")
            assert verdict.verdict is Outcome.FAILED
            assert any(
                name in reason.message or layout.DOCUMENT_FOLDER in reason.message
                for reason in verdict.reasons
            )


def test_every_member_dropped_with_all_around_it_made_anew(
    safe: Any, act: Any, attachment: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    expected = {"certificates/": "MATERIAL_MISMATCH", "revocation/": "MATERIAL_MISMATCH"}
    for document in (act, attachment):
        files = members_of(safe.bundle(document, sealed=False))
        for name in files:
            if name == layout.INDEX or layout.role_of(name) == "document":
                continue
            verdict = judge(anew({other: data for other, data in files.items() if other != name}, None))
            folder = name[: name.find("/") + 1]
            refused(verdict, expected.get(folder, "MEMBER_MISSING"))
            assert verdict.verdict is Outcome.FAILED


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("document/autre.pdf", "MEMBER_UNKNOWN"),
        ("notes.txt", "MEMBER_UNKNOWN"),
        ("META-INF/ASiCManifest003.xml", "MEMBER_UNKNOWN"),
        ("META-INF/manifest.xml", "MEMBER_UNKNOWN"),
        ("ledger/entries/007.json", "MEMBER_UNKNOWN"),
        ("ledger/entries/99.json", "MEMBER_MISSING"),
        ("ledger/anchor", "MEMBER_MISSING"),
        ("certificates/0123456789abcdef.crt", "MATERIAL_MISMATCH"),
        ("revocation/0123456789abcdef.crl", "MATERIAL_MISMATCH"),
        ("META-INF/ASiCManifest001.xml", "MEMBER_MISSING"),
    ],
)
def test_a_member_added(
    name: str,
    code: str,
    safe: Any,
    act: Any,
    judge: Judge,
    anew: Any,
    members_of: Callable[[bytes], Files],
    pack: Callable[[Files], bytes],
) -> None:
    files = members_of(safe.bundle(act))
    refused(judge(pack({**files, name: b"x"})), "MEMBER_UNKNOWN" if code == "MATERIAL_MISMATCH" else code)
    if "META-INF/" not in name and layout.role_of(name) not in {None, "document"}:
        bare = members_of(safe.bundle(act, sealed=False))
        refused(judge(anew({**bare, name: b"x"})), code)


def test_every_member_swapped_with_another_bundle(
    safe: Any,
    act: Any,
    other_act: Any,
    attachment: Any,
    other_attachment: Any,
    judge: Judge,
    anew: Any,
    members_of: Callable[[bytes], Files],
) -> None:
    """Same service, other document; evidence.json and evidence seal made anew over the swap."""
    by_role = {
        "document": {"DOCUMENT_MISMATCH"},
        "entry": {"INDEX_MISMATCH"},
        "opening": {"OPENING_MISMATCH"},
        "receipt": {"INDEX_MISMATCH"},
        "seal-manifest": {"HASH_FAILURE", "MANIFEST_MISMATCH"},
        "seal": {"HASH_FAILURE", "SEAL_MISMATCH"},
    }
    for mine, theirs in ((act, other_act), (attachment, other_attachment)):
        files, others = (
            members_of(safe.bundle(mine, sealed=False)),
            members_of(safe.bundle(theirs, sealed=False)),
        )
        for role, expected in by_role.items():
            name = next((item for item in files if layout.role_of(item) == role), None)
            if name is None:
                continue
            donor = next(item for item in others if layout.role_of(item) == role)
            refused(judge(anew({**files, name: others[donor]})), *expected)
        status_key = Index.parse(others[layout.INDEX]).status_key
        refused(judge(anew(files, status_key=status_key)), "TAG_MISMATCH")


def test_all_of_another_documents_ledger_part(
    safe: Any, act: Any, other_act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    files, others = (
        members_of(safe.bundle(act, sealed=False)),
        members_of(safe.bundle(other_act, sealed=False)),
    )
    mixed = {name: data for name, data in files.items() if not name.startswith(layout.ENTRIES_FOLDER)}
    mixed |= {name: data for name, data in others.items() if name.startswith(layout.ENTRIES_FOLDER)}
    refused(
        judge(anew(mixed)),
        "DOCUMENT_MISMATCH",
        "SEAL_MISMATCH",
        "TOKEN_MISMATCH",
        "TAG_MISMATCH",
    )
    key = Index.parse(others[layout.INDEX]).status_key
    refused(judge(anew(mixed, status_key=key)), "DOCUMENT_MISMATCH", "SEAL_MISMATCH", "TOKEN_MISMATCH")


# ---- seals made anew by other trusted keys


def test_another_administration_seals_the_same_act(
    safe: Any, act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    key = safe.pki.act_seal("prefecture", "Préfecture")
    base = act.content[: len(act.content) - len(act.revision.appended)]
    revision = safe.pades(base, key)
    files = members_of(safe.bundle(act, sealed=False))
    files["document/acte.pdf"] = base + revision.appended
    refused(
        judge(anew(files)), "DOCUMENT_MISMATCH", "SEAL_MISMATCH", "TOKEN_MISMATCH", "CERTIFICATE_MISMATCH"
    )
    assert judge(base + revision.appended).verdict is Outcome.PASSED  # the PDF alone is what it says it is


def test_the_reception_seal_of_another_service(
    safe: Any, attachment: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    files = members_of(safe.bundle(attachment, sealed=False))
    for key, expected in (
        (safe.another_reception_seal(), {"SEAL_MISMATCH", "TOKEN_MISMATCH", "CERTIFICATE_MISMATCH"}),
        (safe.pki.reception_seal, {"SEAL_MISMATCH", "TOKEN_MISMATCH"}),
        (safe.act_key, {"SIG_CONSTRAINTS_FAILURE", "SEAL_MISMATCH"}),
        (safe.pki.evidence_seal, {"SIG_CONSTRAINTS_FAILURE", "SEAL_MISMATCH"}),
    ):
        made = safe.cades(attachment.name, attachment.media_type, attachment.content, key)
        forged = {**files, layout.SEAL_SIGNATURE: made.signature, layout.SEAL_MANIFEST: made.manifest}
        verdict = judge(anew(forged))
        refused(verdict, *expected)
        assert "MANIFEST_MISMATCH" not in codes(verdict)
        assert ("CERTIFICATE_MISMATCH" in expected) or "CERTIFICATE_MISMATCH" not in codes(verdict)


def test_a_deposit_sealed_and_recorded_with_an_act_seal(safe: Any, judge: Judge) -> None:
    document = safe.deposit(b"<x/>", "x.xml", key=safe.act_key)
    refused(judge(safe.bundle(document)), "SIG_CONSTRAINTS_FAILURE")


@pytest.mark.parametrize("role", ["act", "reception"])
def test_the_evidence_seal_by_a_key_for_something_else(
    role: str,
    safe: Any,
    act: Any,
    judge: Judge,
    members_of: Callable[[bytes], Files],
    pack: Callable[[Files], bytes],
) -> None:
    key = safe.act_key if role == "act" else safe.pki.reception_seal
    files = members_of(safe.bundle(act))
    sealer = CadesSealer(key, signature_name=layout.EVIDENCE_SIGNATURE)
    manifest = files[layout.EVIDENCE_MANIFEST]
    prepared = sealer._prepare(manifest, safe.material(key), datetime.now(UTC), bytes(32), 0)
    signature = sealer.complete(prepared, safe.authority.token(prepared.imprint).der).signature
    verdict = judge(pack({**files, layout.EVIDENCE_SIGNATURE: signature}))
    refused(verdict, "SIG_CONSTRAINTS_FAILURE")
    assert any(reason.message.startswith("bundle.seal: ") for reason in verdict.reasons)


def test_the_evidence_seal_of_a_stranger(
    safe: Any,
    act: Any,
    judge: Judge,
    tmp_path: Path,
    members_of: Callable[[bytes], Files],
    pack: Any,
    new_safe: Any,
) -> None:
    stranger = new_safe(DevPki.open(tmp_path / "pki", datetime.now(UTC)), safe.log)
    files = members_of(safe.bundle(act))
    references = safe.references(files)
    revision = stranger.seal(references)
    verdict = judge(pack({**files, layout.EVIDENCE_SIGNATURE: revision.signature}))
    refused(verdict, "NO_CERTIFICATE_CHAIN_FOUND")


def test_an_evidence_manifest_that_leaves_a_file_out(
    safe: Any, act: Any, judge: Judge, members_of: Callable[[bytes], Files], pack: Callable[[Files], bytes]
) -> None:
    files = members_of(safe.bundle(act))
    for left_out in (layout.README, "document/acte.pdf"):
        references = [item for item in safe.references(files) if item.name != left_out]
        revision = safe.seal(references)
        forged = {
            **files,
            layout.EVIDENCE_MANIFEST: revision.manifest,
            layout.EVIDENCE_SIGNATURE: revision.signature,
        }
        verdict = judge(pack(forged))
        refused(verdict, "EVIDENCE_SEAL_MISMATCH")
        assert any(left_out in reason.message for reason in verdict.reasons)


def test_an_evidence_manifest_of_another_signature(
    safe: Any, act: Any, judge: Judge, members_of: Callable[[bytes], Files], pack: Callable[[Files], bytes]
) -> None:
    files = members_of(safe.bundle(act))
    forged = build_manifest(layout.SEAL_SIGNATURE, safe.references(files))
    refused(judge(pack({**files, layout.EVIDENCE_MANIFEST: forged})), "FORMAT_FAILURE", "HASH_FAILURE")


# ---- the ledger's part


def test_entries_dropped(
    safe: Any, act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    files = members_of(safe.bundle(act, sealed=False))
    first, middle, last = layout.sequence_numbers(files)

    def without(seq: int) -> Files:
        return {name: data for name, data in files.items() if not name.startswith(f"ledger/entries/{seq}.")}

    refused(judge(anew(without(first))), "EVENT_SEQUENCE", "TAG_MISMATCH")
    refused(judge(anew(without(middle))), "TAG_MISMATCH")
    # Nobody can see from inside that the end is missing: the verdict says as of when it speaks...
    cut = judge(anew(without(last)))
    assert cut.verdict is Outcome.PASSED
    assert cut.status is not None
    assert (cut.status.value, cut.status.source) == ("superseded", "bundle")
    assert cut.status.as_of_size == len(safe.log.entries)


def test_the_ledger_finds_the_entry_left_off_the_end(
    safe: Any,
    act: Any,
    judge: Judge,
    anew: Any,
    tmp_path: Path,
    members_of: Callable[[bytes], Files],
    ledger: Any,
) -> None:
    files = members_of(safe.bundle(act, sealed=False))
    last = layout.sequence_numbers(files)[-1]
    cut = anew({name: data for name, data in files.items() if not name.startswith(f"ledger/entries/{last}.")})
    verdict = judge(cut, ledger=ledger(safe.log.publish(tmp_path)))
    assert verdict.verdict is Outcome.PASSED
    assert verdict.status is not None
    assert (verdict.status.value, verdict.status.source) == ("changed", "ledger")
    assert any(check.name == "status" and str(last) in check.found for check in verdict.checks)


def test_the_opening_tells_another_story(
    safe: Any, act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    files = members_of(safe.bundle(act, sealed=False))
    name = next(item for item in files if layout.role_of(item) == "opening")
    changed = files[name].replace(b'"issuer":"adm_1"', b'"issuer":"adm_2"')
    assert changed != files[name]
    refused(judge(anew({**files, name: changed})), "OPENING_MISMATCH")


def test_a_receipt_without_a_way_to_the_root(
    safe: Any, act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    files = members_of(safe.bundle(act, sealed=False))
    name = next(item for item in files if layout.role_of(item) == "receipt")
    lines = files[name].split(b"\n")
    lines[2], lines[3] = lines[3], lines[2]
    refused(judge(anew({**files, name: b"\n".join(lines)})), "ENTRY_NOT_IN_LEDGER")


def test_a_log_with_the_same_name_and_other_keys(
    safe: Any, act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files], new_log: Any
) -> None:
    """Everything is right but the keys: the ones inside a bundle, if any, count for nothing."""
    fake = new_log()
    fake.entries = list(safe.log.entries)
    files = members_of(safe.bundle(act, sealed=False))
    note = fake.checkpoint()
    forged = {
        name: fake.receipt(int(name.split("/")[2].split(".")[0]), note)
        if layout.role_of(name) == "receipt"
        else data
        for name, data in files.items()
    }
    verdict = judge(anew(forged))
    refused(verdict, "LOG_SIGNATURE_MISSING")
    assert verdict.verdict is Outcome.INDETERMINATE
    assert verdict.ledger is not None
    assert verdict.ledger.size is None
    # The real key's name on a false signature is a forgery, not a gap.
    real, false = (item.checkpoint().splitlines() for item in (safe.log, fake))
    stolen = b"\n".join([*false[:4], *real[4:]]) + b"\n"
    stolen = stolen.replace(real[2], false[2])
    altered = {
        name: fake.receipt(int(name.split("/")[2].split(".")[0]), _other_root(stolen))
        if layout.role_of(name) == "receipt"
        else data
        for name, data in files.items()
    }
    refused(judge(anew(altered)), "LOG_SIGNATURE_INVALID")


def _other_root(note: bytes) -> bytes:
    """Change one signature octet of the Ed25519 line."""
    lines = note.split(b"\n")
    place = next(at for at, line in enumerate(lines) if line.startswith("—".encode()))
    tail = lines[place][-20:-10]
    lines[place] = lines[place].replace(tail, bytes(reversed(tail)))
    return b"\n".join(lines)


def test_a_checkpoint_of_another_log(
    safe: Any, act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files], new_log: Any
) -> None:
    foreign = new_log("other.example/ledger/1")
    foreign.entries = list(safe.log.entries)
    files = members_of(safe.bundle(act, sealed=False))
    note = foreign.checkpoint()
    forged = {
        name: foreign.receipt(int(name.split("/")[2].split(".")[0]), note)
        if layout.role_of(name) == "receipt"
        else data
        for name, data in files.items()
    }
    refused(judge(anew(forged)), "LOG_MISMATCH")
    refused(judge(anew(forged, origin="other.example/ledger/1")), "LOG_UNKNOWN")


def test_one_of_the_two_signatures_of_the_log_is_not_there(
    safe: Any, act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    files = members_of(safe.bundle(act, sealed=False))
    for kept in (0, 1):
        forged = {}
        for name, data in files.items():
            if layout.role_of(name) == "receipt":
                head, _, tail = data.partition("— ".encode())
                signatures = [line for line in ("— ".encode() + tail).splitlines(keepends=True) if line]
                forged[name] = head + signatures[kept]
            else:
                forged[name] = data
        verdict = judge(anew(forged))
        assert verdict.verdict is Outcome.INDETERMINATE
        refused(verdict, "LOG_SIGNATURE_MISSING")


def test_no_policy_or_one_of_other_logs_leaves_the_ledger_open(
    safe: Any, act: Any, judge: Judge, new_log: Any
) -> None:
    for policy in (None, new_log("other.example/1").policy(), Policy.parse("quorum none\n")):
        verdict = judge(safe.bundle(act), policy=policy)
        assert verdict.verdict is Outcome.INDETERMINATE
        assert codes(verdict) == {"LOG_UNKNOWN"}
        assert verdict.ledger is not None
        assert verdict.ledger.verdict is Outcome.INDETERMINATE


def test_a_seal_younger_than_its_entry(safe: Any, judge: Judge) -> None:
    document = safe.deposit(b"<y/>", "y.xml", recorded="2020-01-01T00:00:00.000Z")
    refused(judge(safe.bundle(document)), "TIME_ORDER")


def test_impossible_courses_of_events(safe: Any, judge: Judge) -> None:
    document = safe.deposit(b"<z/>", "z.xml")
    safe.revoke(document)
    safe.supersede(document, document)
    refused(judge(safe.bundle(document)), "EVENT_SEQUENCE")


# ---- two readers, two files


def test_zips_that_show_different_files_to_different_readers(
    safe: Any, attachment: Any, judge: Judge
) -> None:
    good = safe.bundle(attachment)
    name = f"document/{attachment.name}".encode()
    evil = b"<faux/>"
    # a second member of the same name, at the end and at the start
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as source, zipfile.ZipFile(out, "w") as target:
        for item in source.infolist():
            target.writestr(item, source.read(item))
        target.writestr(zipfile.ZipInfo(name.decode()), evil)
    refused(judge(out.getvalue()), "FORMAT_FAILURE")
    # the central directory points to another local header than the one in order
    place = good.rindex(b"PK\x05\x06")
    start = struct.unpack("<L", good[place + 16 : place + 20])[0]
    hidden = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0x800, 0, 0, 0x21, 0, len(evil), len(evil), len(name), 0)
    hidden += name + evil
    moved = good[:start] + hidden + good[start:place]
    moved += good[place : place + 16] + struct.pack("<L", start + len(hidden)) + good[place + 20 :]
    refused(judge(moved), "FORMAT_FAILURE")
    # local and central names differ
    other = good.replace(name, name.replace(b"d", b"e"), 1)
    refused(judge(other), "FORMAT_FAILURE")
    # something before, something after, a comment
    for changed in (b"x" + good, good + b"x", good[:-2] + b"\x01\x00x"):
        assert judge(changed).verdict is not Outcome.PASSED


def test_instructions_rewritten(
    safe: Any, act: Any, judge: Judge, anew: Any, members_of: Callable[[bytes], Files]
) -> None:
    files = members_of(safe.bundle(act))
    for key in (None, safe.pki.evidence_seal):
        base = members_of(safe.bundle(act, sealed=False)) if key is None else files
        forged = {**base, layout.README: base[layout.README].replace(b"openssl", b"evilssl")}
        refused(judge(anew(forged, key)), "INSTRUCTIONS_MISMATCH")


def test_a_stranger_s_signature_is_no_seal_of_an_act(safe: Any, judge: Judge) -> None:
    """Trusting somebody's root makes his signed PDF authentic, and never an act of the safe."""
    path = Path(__file__).parents[1] / "data" / "pdf-signed" / "dss-pades-bes.pdf"
    [signature] = pdf_signatures(path)
    inside = parse_cms(split_contents(signature.contents)[0], strict=False).certificates
    anchors = [item for item in inside if item.subject == item.issuer] or list(inside[-1:])
    claimed = pdf_date(signature.claimed_time)
    assert claimed is not None
    means = {"trust": TrustStore([*safe.pki.roots(), *anchors]), "at": claimed + timedelta(minutes=1)}
    assert judge(path.read_bytes(), **means).verdict is Outcome.PASSED
    act = safe.issue("un acte")
    act.content = path.read_bytes()
    verdict = judge(safe.bundle(act), **means)
    assert verdict.verdict is Outcome.FAILED
    assert "SIG_CONSTRAINTS_FAILURE" in {reason.code for reason in verdict.reasons}
