"""Verification of good files, of files that are something else, and what the report and the command say."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from signing.trust import TrustStore
from vault.cli.verify import verify
from vault.evidence import layout
from vault.evidence.build import BundleMember, Original, bundle_members, write, written_size
from vault.evidence.explanations import EXPLANATIONS
from vault.evidence.report import INDETERMINATE_CODES, Judgement, Outcome, Verdict
from vault.evidence.texts import CADES, PADES, commands, known_digests, texts
from vault.evidence.verify import verify_file
from vault.evidence.wording import lines, sentence
from vault.ledger.events import Event
from vault.ledger.policy import Policy

DATA = Path(__file__).parents[1] / "data"
VECTORS = Path(__file__).parents[1] / "vectors" / "evidence"
FORMAT = Path(__file__).parents[2] / "docs" / "evidence-format.md"


@pytest.fixture
def judge(safe: Any, tmp_path: Path) -> Callable[..., Verdict]:
    def run(data: bytes, **changes: Any) -> Verdict:
        path = tmp_path / "judged"
        path.write_bytes(data)
        return verify_file(path, **{"trust": safe.trust(), "policy": safe.log.policy(), **changes})

    return run


def check_of(verdict: Verdict, name: str) -> Any:
    return next(check for check in verdict.checks if check.name == name)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


# ---- what passes


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("reveal", [frozenset({"document"}), frozenset({"document", "parties", "context"})])
def test_bundles_pass(sealed: bool, reveal: frozenset[str], safe: Any, judge: Any) -> None:
    for document, level in ((safe.issue(), "PAdES-B-T"), (safe.deposit(), "CAdES-B-T")):
        verdict = judge(safe.bundle(document, sealed=sealed, reveal=reveal))
        assert verdict.verdict is Outcome.PASSED, verdict.reasons
        assert verdict.exit_code == 0
        assert [item.level for item in verdict.signatures] == [level, "CAdES-B-T"][: 1 + sealed]
        assert verdict.signatures[0].timestamps[0].own_authority
        assert verdict.status is not None
        assert (verdict.status.value, verdict.status.source) == ("valid", "bundle")
        assert verdict.ledger is not None
        assert verdict.ledger.rests_on.startswith("rests on the operator's key alone")
        assert check_of(verdict, "anchor").outcome is Outcome.PENDING
        seal = check_of(verdict, "bundle.seal")
        assert seal.outcome is (Outcome.PASSED if sealed else Outcome.UNCHECKED)
        assert sealed or "absent" in seal.found


def test_authentic_and_superseded_are_two_answers(safe: Any, judge: Any) -> None:
    first, second = safe.issue("un"), safe.issue("deux")
    safe.supersede(first, second)
    verdict = judge(safe.bundle(first))
    assert verdict.verdict is Outcome.PASSED
    assert verdict.status.value == "superseded"
    assert "mais il est remplacé" in sentence(verdict, "fr")
    safe.revoke(first)
    verdict = judge(safe.bundle(first))
    assert (verdict.verdict, verdict.status.value) == (Outcome.PASSED, "revoked")
    assert verdict.status.as_of_size == len(safe.log.entries)


def test_a_reception_before_its_seal(safe: Any, judge: Any) -> None:
    """The timestamp authority was down: the reception is an entry of its own, about the octets received."""
    for name in ("acte.pdf", "pièce.xml"):
        waiting = safe.issue("reçu", name) if name.endswith("pdf") else safe.deposit(b"<recu/>", name)
        kind = Event.ISSUED if name.endswith("pdf") else Event.DEPOSITED
        waiting.events.clear()
        received = waiting.content[: len(waiting.content) - len(waiting.revision.appended)]
        digest = hashlib.sha256(received).hexdigest()
        described = {**safe.description(waiting), "size": len(received), "sha256": digest}
        safe.record(waiting, Event.RECEIVED, described)
        safe.record(waiting, kind, {**safe.description(waiting), "parts": safe.parts(waiting)})
        verdict = judge(safe.bundle(waiting))
        assert verdict.verdict is Outcome.PASSED, verdict.reasons
        # Another file was received.
        other = {**described, "sha256": "0" * 64}
        waiting.events.clear()
        safe.record(waiting, Event.RECEIVED, other)
        safe.record(waiting, kind, {**safe.description(waiting), "parts": safe.parts(waiting)})
        assert codes(judge(safe.bundle(waiting))) == ["DOCUMENT_MISMATCH"]


def test_the_sealed_pdf_alone(safe: Any, judge: Any) -> None:
    verdict = judge(safe.issue().content, policy=None)
    assert verdict.verdict is Outcome.PASSED
    assert verdict.ledger is None
    assert (verdict.status.value, verdict.status.source) == ("unknown", "none")
    assert check_of(verdict, "ledger").outcome is Outcome.UNCHECKED
    assert verdict.signatures[0].covers_whole_file
    assert "registre n'est pas vérifié" in sentence(verdict, "fr")


def test_a_file_beside_its_bundle(safe: Any, judge: Any, tmp_path: Path) -> None:
    document = safe.deposit()
    original = tmp_path / "original.xml"
    original.write_bytes(document.content)
    assert judge(safe.bundle(document), original=original).verdict is Outcome.PASSED
    original.write_bytes(document.content + b" ")
    verdict = judge(safe.bundle(document), original=original)
    assert verdict.verdict is Outcome.FAILED
    assert verdict.reasons[0].code == "HASH_FAILURE"
    assert verdict.reasons[0].message.startswith("original: ")
    act = safe.issue()
    original.write_bytes(act.content)
    assert judge(act.content, original=original).verdict is Outcome.PASSED
    original.write_bytes(b"other")
    assert codes(judge(act.content, original=original)) == ["HASH_FAILURE"]


def test_without_trust_nothing_passes(safe: Any, judge: Any) -> None:
    empty = TrustStore([])
    for data in (safe.bundle(safe.deposit()), safe.issue().content):
        verdict = judge(data, trust=empty)
        assert verdict.verdict is Outcome.INDETERMINATE
        assert "NO_CERTIFICATE_CHAIN_FOUND" in codes(verdict)
        assert verdict.exit_code == 3
    # Separate anchors for seals and for timestamps are both asked for.
    verdict = judge(safe.bundle(safe.deposit()), tsa_trust=empty)
    assert "NO_CERTIFICATE_CHAIN_FOUND" in codes(verdict)


# ---- what is something else


@pytest.mark.parametrize(
    ("data", "code", "outcome"),
    [
        (b"", "FORMAT_FAILURE", Outcome.FAILED),
        (b"hello", "NO_SIGNATURE_FOUND", Outcome.INDETERMINATE),
        (b"\x30\x03\x02\x01\x05", "NO_SIGNATURE_FOUND", Outcome.INDETERMINATE),
        (b"PK\x03\x04garbage", "FORMAT_FAILURE", Outcome.FAILED),
        (b"PK\x05\x06" + bytes(18), "NO_SIGNATURE_FOUND", Outcome.INDETERMINATE),
        (b"%PDF-1.7\ngarbage", "FORMAT_FAILURE", Outcome.FAILED),
    ],
)
def test_files_without_proof(data: bytes, code: str, outcome: Outcome, judge: Any) -> None:
    verdict = judge(data)
    assert (verdict.verdict, codes(verdict)) == (outcome, [code])


def test_seals_and_tokens_alone_need_what_they_are_about(safe: Any, judge: Any, tmp_path: Path) -> None:
    revision = safe.deposit().revision
    for data in (revision.signature, revision.token):
        verdict = judge(data)
        assert (verdict.verdict, codes(verdict)) == (Outcome.INDETERMINATE, ["SIGNED_DATA_NOT_FOUND"])
    original = tmp_path / "manifest.xml"
    original.write_bytes(revision.manifest)
    verdict = judge(revision.signature, original=original)
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert [item.level for item in verdict.signatures] == ["CAdES-B-T"]
    original.write_bytes(revision.manifest + b" ")
    assert codes(judge(revision.signature, original=original)) == ["HASH_FAILURE"]


def test_strangers_never_pass_on_our_trust(judge: Any) -> None:
    for path in (
        *(DATA / "tst").glob("*.tsr"),
        *(DATA / "ers").glob("*.er*"),
        *(DATA / "asic").glob("*.asice"),
    ):
        verdict = judge(path.read_bytes())
        assert verdict.verdict is not Outcome.PASSED, path.name
        assert verdict.signatures, path.name
        wrong = "invalid" in path.name or "malformed" in path.name or "broken" in path.name
        assert (verdict.verdict is Outcome.FAILED) == wrong, (path.name, verdict.reasons)


def test_signed_pdfs_of_other_people_never_pass_on_our_trust(judge: Any) -> None:
    seen: set[str] = set()
    for path in sorted((DATA / "pdf-signed").glob("*.pdf")):
        verdict = judge(path.read_bytes())
        assert verdict.verdict is not Outcome.PASSED, path.name
        assert verdict.status is None
        seen |= set(codes(verdict))
    assert "NO_CERTIFICATE_CHAIN_FOUND" in seen


def test_unsigned_pdfs(judge: Any) -> None:
    verdict = judge((DATA / "pdf-real" / "001-minimal-document.pdf").read_bytes())
    assert (verdict.verdict, codes(verdict)) == (Outcome.INDETERMINATE, ["NO_SIGNATURE_FOUND"])


def test_a_file_that_cannot_be_opened(safe: Any, tmp_path: Path) -> None:
    verdict = verify_file(tmp_path / "nowhere", trust=safe.trust())
    assert verdict.verdict is not Outcome.PASSED
    assert verdict.reasons


def test_signatures_of_others_inside_a_document_are_reported_and_do_not_decide(safe: Any, judge: Any) -> None:
    content = (DATA / "pdf-signed" / "dss-pades-bes.pdf").read_bytes()
    document = safe.deposit(content, "signé.pdf", media_type="application/pdf")
    verdict = judge(safe.bundle(document))
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert [item.part for item in verdict.signatures] == ["document", "bundle", "inner"]
    assert verdict.signatures[2].verdict is not Outcome.PASSED
    assert check_of(verdict, "inner.signature[0]").outcome is Outcome.UNCHECKED


@given(data=st.binary(max_size=400), kind=st.sampled_from(["", "%PDF-1.7\n", "PK\x03\x04", "0\x82"]))
@settings(max_examples=200)
def test_no_octets_at_all_make_it_raise(data: bytes, kind: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(kind.encode("latin-1") + data)
        file.flush()
        verdict = verify_file(Path(file.name), trust=TrustStore([]))
    assert verdict.verdict is not Outcome.PASSED
    assert verdict.reasons


def test_no_content_of_a_member_makes_it_raise(safe: Any, judge: Any, members_of: Any, pack: Any) -> None:
    for document in (safe.issue(), safe.deposit()):
        files = members_of(safe.bundle(document))
        for name in files:
            for content in (b"", b"[]", b"\x30\x80", b'{"v":' * 500):
                verdict = judge(pack({**files, name: content}))
                assert verdict.verdict is Outcome.FAILED
                assert all(reason.code != "PROCESSING_ERROR" for reason in verdict.reasons)


# ---- vectors kept for ever


@pytest.mark.parametrize("version", sorted(path.name for path in VECTORS.iterdir() if path.is_dir()))
def test_vectors_of_every_version_stay_valid(version: str) -> None:
    folder = VECTORS / version
    trust = TrustStore.from_pem((folder / "roots.pem").read_bytes())
    policy = Policy.from_vkeys((folder / "ledger.vkeys").read_bytes())
    for path in (*folder.glob("*.asice"), *folder.glob("*.pdf")):
        verdict = verify_file(path, trust=trust, policy=policy)
        assert verdict.verdict is Outcome.PASSED, (path.name, verdict.reasons)
        said = json.loads((folder / f"{path.name}.json").read_bytes())
        # Later versions may look at more; what they conclude must stay.
        for part in ("verdict", "reasons", "signatures", "ledger", "status"):
            assert verdict.as_dict()[part] == said[part], (path.name, part)


# ---- the report


def test_the_json_object_is_exactly_the_one_of_the_interface(safe: Any, judge: Any) -> None:
    value = json.loads(judge(safe.bundle(safe.issue())).as_json())
    assert list(value) == ["verdict", "reasons", "signatures", "ledger", "status", "checks"]
    assert set(value["signatures"][0]) == {
        "verdict",
        "level",
        "signer",
        "signing_time",
        "timestamps",
        "covers_whole_file",
        "changes_after",
    }
    assert set(value["status"]) == {"value", "as_of_size", "as_of_time", "source"}
    assert all(set(check) == {"name", "outcome", "expected", "found"} for check in value["checks"])
    failed = json.loads(judge(b"hello").as_json())
    assert failed["ledger"] is None
    assert failed["status"] is None
    assert set(failed["reasons"][0]) == {"code", "message"}


def test_every_code_is_documented_and_has_words_in_both_languages() -> None:
    table = FORMAT.read_text().partition("## 13.")[2].partition("## 14.")[0]
    documented = set(re.findall(r"`([A-Z_]+)`", table))
    unsure = set(re.findall(r"`([A-Z_]+)` \?", table))
    source = "".join(path.read_text() for path in Path(layout.__file__).parent.glob("*.py"))
    used = set(re.findall(r'(?:Refused|Unavailable|_refused)\(\s*"([A-Z_]+)"', source))
    used |= set(re.findall(r'(?:refuse|equal)\([^)]*?"([A-Z]+_[A-Z_]+)"', source))
    assert used - {"PARTS_INVALID"} <= documented
    assert documented <= set(EXPLANATIONS)
    assert unsure == documented & INDETERMINATE_CODES
    assert all(french and english for french, english in EXPLANATIONS.values())


def test_what_hostile_octets_and_our_own_faults_become() -> None:
    judgement = Judgement()

    def fail(error: Exception) -> None:
        raise error

    for error in (ValueError("x"), KeyError("x"), RecursionError(), OSError("disk"), MemoryError()):
        assert judgement.attempt("part", fail, error) is None
    outcomes = [check.outcome for check in judgement.checks]
    assert outcomes == [Outcome.FAILED] * 3 + [Outcome.INDETERMINATE] * 2
    assert judgement.worst is Outcome.FAILED


def test_sentences(safe: Any, judge: Any) -> None:
    passed = judge(safe.bundle(safe.issue()))
    assert re.match(
        "Ce document est authentique : émis par .*, daté du .* par .*, non modifié", sentence(passed, "fr")
    )
    assert sentence(passed, "en").startswith("This document is authentic: issued by")
    attached = judge(safe.bundle(safe.deposit()))
    assert sentence(attached, "fr").startswith("Ce document est authentique : il porte le cachet de")
    text = "\n".join(lines(passed, "fr"))
    assert "autorité de l'exploitant lui-même" in text
    assert "aucun témoin" in text
    failed = judge(b"")
    assert sentence(failed, "fr").startswith("Ce fichier n'est pas authentique : le fichier n'a pas la forme")
    assert sentence(judge(b"hello"), "fr").startswith("Rien dans ce fichier ne prouve son origine")


# ---- building


def test_a_bundle_is_a_stream(safe: Any, tmp_path: Path) -> None:
    """A large document goes through in flat memory, both ways."""
    size = 96 << 20
    block = bytes(range(256)) * 4096
    digest = hashlib.sha256()
    for _ in range(size // len(block)):
        digest.update(block)

    def chunks() -> Iterator[bytes]:
        return (block for _ in range(size // len(block)))

    document = safe.deposit_streamed("gros.bin", size, digest)
    parts = safe.bundle_parts(document)
    original = Original("gros.bin", document.media_type, size, digest.hexdigest(), chunks)
    members = bundle_members(parts.__class__(**{**_fields(parts), "original": original}))
    path = tmp_path / "gros.asice"
    tracemalloc.start()
    with path.open("wb") as file:
        for chunk in write(members):
            file.write(chunk)
    assert path.stat().st_size == written_size(members)
    verdict = verify_file(path, trust=safe.trust(), policy=safe.log.policy())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert peak < 16 << 20


def _fields(parts: Any) -> dict[str, Any]:
    return {name: getattr(parts, name) for name in parts.__slots__}


def test_a_document_that_changed_on_the_shelf_is_not_bundled(safe: Any) -> None:
    document = safe.deposit()
    parts = safe.bundle_parts(document)
    members = bundle_members(parts)
    for content in (document.content + b"x", document.content[:-1], b"y" * len(document.content)):
        changed = [
            BundleMember(
                m.name, m.media_type, m.sha256, m.size, crc, lambda content=content: iter((content,))
            )
            if m.name.startswith("document/")
            else m
            for m in members
            for crc in (None,)
        ]
        with pytest.raises(Exception, match="not the one announced"):
            list(write(changed))


def test_the_same_parts_give_the_same_octets(safe: Any) -> None:
    parts = safe.bundle_parts(safe.deposit())
    assert b"".join(write(bundle_members(parts))) == b"".join(write(bundle_members(parts)))
    names = [member.name for member in bundle_members(parts)]
    assert names == sorted(names, key=layout.rank)


# ---- by hand


@pytest.mark.needs("openssl")
@pytest.mark.needs("unzip")
@pytest.mark.parametrize("kind", ["act", "attachment", "unsealed"])
def test_the_commands_of_the_instructions_work(kind: str, safe: Any, tmp_path: Path) -> None:
    first, second = safe.issue("à la main"), safe.issue("suite")
    safe.supersede(first, second)
    made = {
        "act": lambda: safe.bundle(first, reveal=frozenset({"document", "parties", "context"})),
        "attachment": lambda: safe.bundle(safe.deposit()),
        "unsealed": lambda: safe.bundle(first, sealed=False),
    }[kind]()
    (tmp_path / "bundle.asice").write_bytes(made)
    (tmp_path / "roots.pem").write_bytes(safe.pki.roots_pem())
    (tmp_path / "vkeys").write_text("".join(f"{key}\n" for key in safe.log.keys.vkeys))
    folder = tmp_path / "bundle"
    subprocess.run(["unzip", "-q", "bundle.asice", "-d", "bundle"], cwd=tmp_path, check=True)
    environment = {
        **os.environ,
        "ROOTS": str(tmp_path / "roots.pem"),
        "VKEYS": str(tmp_path / "vkeys"),
        "TMPDIR": str(tmp_path),
    }

    def by_hand(name: str) -> subprocess.CompletedProcess[str]:
        script = commands((folder / name).read_bytes())
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = by_hand("LISEZMOI.txt")
    assert done.returncode == 0, done.stderr
    assert "Verification: OK" in done.stdout
    assert "Signature Verified Successfully" in done.stdout
    assert "CMS Verification successful" in done.stderr
    assert commands((folder / "README.txt").read_bytes()) == commands((folder / "LISEZMOI.txt").read_bytes())
    # They notice what they must: each changed part stops the script.
    for pattern in (
        "document/*",
        "ledger/entries/*.opening.json",
        "ledger/entries/*[0-9].json",
        "ledger/entries/*.tlog-proof",
    ):
        target = min(folder.glob(pattern))
        good = target.read_bytes()
        middle = len(good) // 2 if not pattern.endswith("tlog-proof") else good.index(b"\n\n") - 8
        target.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        assert by_hand("README.txt").returncode != 0, pattern
        target.write_bytes(good)


def test_the_instructions_are_known_and_bilingual() -> None:
    for kind in (PADES, CADES):
        (french, text), (english, other) = texts(kind)
        assert (french, english) == ("LISEZMOI.txt", "README.txt")
        assert commands(text) == commands(other)
        assert hashlib.sha256(text).hexdigest() in known_digests(french, kind)
        assert max(len(line) for line in text.decode().splitlines()) <= 120
    assert texts(PADES) != texts(CADES)


# ---- the command


@pytest.fixture
def command(safe: Any, tmp_path: Path) -> Callable[..., Any]:
    app = typer.Typer()
    app.command()(verify)
    (tmp_path / "roots.pem").write_bytes(safe.pki.roots_pem())
    (tmp_path / "vkeys").write_text("".join(f"{key}\n" for key in safe.log.keys.vkeys))
    (tmp_path / "policy").write_text(safe.log.policy().text())

    def run(*arguments: str | Path) -> Any:
        return CliRunner().invoke(app, [str(item) for item in arguments])

    return run


def test_exit_codes(safe: Any, command: Any, tmp_path: Path) -> None:
    document = safe.issue()
    bundle = tmp_path / "act.asice"
    bundle.write_bytes(safe.bundle(document))
    trust = ("--trust", tmp_path / "roots.pem")
    keys = ("--vkeys", tmp_path / "vkeys")
    good = command(bundle, *trust, *keys)
    assert good.exit_code == 0
    assert good.output.startswith("VALIDE · Ce document est authentique")
    assert "PASSED · This document is authentic" in good.output
    assert command(bundle, *trust, "--policy", tmp_path / "policy").exit_code == 0
    assert command(bundle, *trust, *keys, "--ledger", safe.log.publish(tmp_path / "log")).exit_code == 0
    assert command(bundle, *trust, *keys, "--at", "2030-01-01T00:00:00Z").exit_code == 0
    assert command(bundle, *trust).exit_code == 3
    assert command(bundle, *trust, *keys, "--original", tmp_path / "vkeys").exit_code == 1
    broken = tmp_path / "broken.asice"
    broken.write_bytes(bundle.read_bytes()[:-40])
    assert command(broken, *trust, *keys).exit_code == 1
    for wrong in (
        (tmp_path / "nowhere",),
        (bundle, "--trust", tmp_path / "vkeys"),
        (bundle, "--vkeys", tmp_path / "roots.pem"),
        (bundle, "--policy", tmp_path / "roots.pem"),
        (bundle, *keys, "--policy", tmp_path / "policy"),
        (bundle, "--at", "yesterday"),
        (bundle, "--at", "2026-99-99"),
        (bundle, "--ledger", tmp_path / "nowhere"),
        (bundle, "--ledger", "ftp://log.example/"),
        (bundle, "--unknown"),
    ):
        assert command(*wrong).exit_code == 2, wrong


def test_json_is_one_object(safe: Any, command: Any, tmp_path: Path) -> None:
    path = tmp_path / "act.pdf"
    path.write_bytes(safe.issue().content)
    done = command(path, "--trust", tmp_path / "roots.pem", "--json")
    assert done.exit_code == 0
    assert json.loads(done.output)["verdict"] == "PASSED"
    assert done.output.count("\n") == 1


def test_auditors_need_neither_database_nor_store() -> None:
    script = (
        "import sys, vault.cli.verify; "
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('sqlalchemy', 'alembic', 'storage', 'api', 'fastapi', 'pydantic_settings') "
        "or m in ('vault.db', 'vault.settings', 'vault.bootstrap')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_time_of_asking_does_not_undo_a_proven_date(safe: Any, judge: Any) -> None:
    verdict = judge(safe.bundle(safe.deposit()), at=datetime(2035, 1, 1, tzinfo=UTC))
    assert verdict.verdict is Outcome.PASSED
