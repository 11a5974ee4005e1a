"""Frozen proofs of journal lines verify for ever; whatever is changed in one is found, under the right code."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.dev_pki import DevPki
from signing.trust import TrustStore
from vault.evidence.errors import EvidenceRefused
from vault.evidence.findings import Verdict
from vault.evidence.journal_line import LineProof
from vault.evidence.ledger_source import LedgerSource
from vault.evidence.report import Outcome
from vault.evidence.sentences import sentence
from vault.evidence.verify import verify_file
from vault.evidence.wire import from_wire, to_wire
from vault.evidence.wording import lines
from vault.ledger.policy import Policy

PROBANS = Path(__file__).resolve().parent.parent / "vectors" / "probans"
FROZEN, V1 = PROBANS / "line-v1", PROBANS / "v1"
POLICY = Policy.parse((V1 / "policy").read_bytes())
LOGS = Policy(logs=POLICY.logs)
ROOTS = TrustStore.from_pem((V1 / "roots.pem").read_bytes())
NONE = TrustStore([])
WHOLE = (FROZEN / "3-access-with-key.json").read_bytes()
PROOF = LineProof.parse(WHOLE)
OTHER = LineProof.parse((FROZEN / "4-access-with-key.json").read_bytes())
STATUS = LineProof.parse((FROZEN / "1-status-with-key.json").read_bytes())
MATTER = LineProof.parse((FROZEN / "10-matter-with-key.json").read_bytes())


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., Verdict]:
    def run(data: bytes, **changes: Any) -> Verdict:
        path = tmp_path / "line.json"
        path.write_bytes(data)
        means: dict[str, Any] = {"trust": NONE, "tsa_trust": ROOTS, "policy": POLICY, **changes}
        verdict = verify_file(path, at=datetime(2027, 1, 1, tzinfo=UTC), **means)
        # The process that judges hands every verdict over in this form.
        assert from_wire(to_wire(verdict)) == verdict
        return verdict

    return run


def codes(verdict: Verdict) -> set[str]:
    return {reason.code for reason in verdict.reasons}


def outcomes(verdict: Verdict) -> dict[str, Outcome]:
    return {check.name: check.outcome for check in verdict.checks}


def test_nothing_was_changed_added_or_removed() -> None:
    stated = (FROZEN / "SHA256SUMS").read_bytes()
    listed = {
        name: digest for digest, _, name in (line.partition("  ") for line in stated.decode().splitlines())
    }
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FROZEN.iterdir()
        if path.name != "SHA256SUMS"
    }
    assert found == listed
    assert (
        hashlib.sha256(stated).hexdigest()
        == "3a07b826c9f62c330c60aedd89a6becc2b473cc1ebb2e26e27f4677f9bd0c467"
    )


@pytest.mark.parametrize("path", sorted(FROZEN.glob("*.json")), ids=lambda path: path.stem)
def test_frozen_proofs_pass(path: Path, judge) -> None:
    data = path.read_bytes()
    assert LineProof.parse(data).encode() == data
    cosigned = int(path.stem.partition("-")[0]) < 10
    verdict = judge(data, policy=POLICY if cosigned else LOGS)
    assert verdict.verdict is Outcome.PASSED, verdict.reasons
    assert outcomes(verdict)["line.tag"] is (Outcome.PASSED if "with-key" in path.stem else Outcome.UNCHECKED)
    assert verdict.ledger is not None
    assert verdict.ledger.witnesses == (("ed", "ml") if cosigned else ())
    assert verdict.ledger.anchor == ("PASSED" if cosigned else "pending")
    assert (verdict.ledger.dated is not None) is cosigned
    assert "authentique" in sentence(verdict, "fr")
    assert all(list(lines(verdict, language)) for language in ("fr", "en"))


def test_what_the_line_says_is_in_the_report(judge) -> None:
    data = (FROZEN / "11-access-with-key.json").read_bytes()
    said = json.loads(judge(data, policy=LOGS).as_json())["line"]
    assert said == {
        "event": "document.read", "granted": True, "subject": "doc_A", "document": "doc_A", "action": "read",
        "holder": "hold_1", "actor": "agt_A", "role": "agent", "organisation": "mairie-specimen",
        "service": "etat-civil", "purpose": "instruction-dossier", "words": "Pièce illisible au guichet",
        "case": "n° 1", "consent": "csn_A",
    }  # fmt: skip
    assert json.loads(judge((FROZEN / "4-access.json").read_bytes()).as_json())["line"]["granted"] is False


def test_without_keys_or_witnesses_nothing_is_concluded(judge) -> None:
    unknown = judge(WHOLE, policy=None)
    assert (unknown.verdict, codes(unknown)) == (Outcome.INDETERMINATE, {"LOG_UNKNOWN"})
    alone = judge((FROZEN / "10-matter-with-key.json").read_bytes())
    assert (alone.verdict, codes(alone)) == (Outcome.INDETERMINATE, {"WITNESS_QUORUM_UNMET"})
    stranger = judge(WHOLE, tsa_trust=NONE)
    assert stranger.verdict is Outcome.INDETERMINATE
    assert codes(stranger) == {"NO_CERTIFICATE_CHAIN_FOUND"}


def changed(octets: bytes, old: str, new: str) -> bytes:
    assert old.encode() in octets
    return octets.replace(old.encode(), new.encode(), 1)


def flipped(octets: bytes, at: int) -> bytes:
    return octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]


def dated(**changes: Any) -> LineProof:
    assert PROOF.dated is not None
    return dataclasses.replace(PROOF, dated=dataclasses.replace(PROOF.dated, **changes))


FORGED: dict[str, tuple[LineProof, set[str]]] = {
    "another purpose": (
        dataclasses.replace(PROOF, opening=changed(PROOF.opening, "délivrance", "curiosité")),
        {"OPENING_MISMATCH"},
    ),
    "another actor": (
        dataclasses.replace(PROOF, opening=changed(PROOF.opening, "agent-état-civil", "agent-de-paie-1")),
        {"OPENING_MISMATCH"},
    ),
    "another salt": (
        dataclasses.replace(PROOF, opening=OTHER.opening.replace(b"read-refused", b"read")),
        {"OPENING_INVALID"},
    ),
    "the opening of another entry": (dataclasses.replace(PROOF, opening=OTHER.opening), {"OPENING_MISMATCH"}),
    "an opening of another chain": (
        dataclasses.replace(PROOF, opening=STATUS.opening), {"OPENING_INVALID"},
    ),
    "an opening with a hidden part": (
        dataclasses.replace(PROOF, opening=(V1 / "openings/3.document.json").read_bytes()),
        {"OPENING_INVALID"},
    ),
    "an opening of a matter": (dataclasses.replace(PROOF, opening=MATTER.opening), {"OPENING_INVALID"}),
    "a matter's chain": (dataclasses.replace(PROOF, chain="matter"), {"OPENING_INVALID"}),
    "the status chain": (dataclasses.replace(PROOF, chain="status"), {"OPENING_INVALID"}),
    "another time in the entry": (
        dataclasses.replace(PROOF, entry=changed(PROOF.entry, "09:03:00", "09:04:00")),
        {"ENTRY_NOT_IN_LEDGER"},
    ),
    "another number in the entry": (
        dataclasses.replace(PROOF, entry=changed(PROOF.entry, '"seq":3', '"seq":4')),
        {"INDEX_MISMATCH"},
    ),
    "another entry": (
        dataclasses.replace(PROOF, entry=OTHER.entry),
        {"OPENING_MISMATCH", "TAG_MISMATCH", "INDEX_MISMATCH"},
    ),
    "no entry": (dataclasses.replace(PROOF, entry=b"{}"), {"ENTRY_INVALID"}),
    "the log's own entry": (
        dataclasses.replace(PROOF, entry=(V1 / "entries/0.json").read_bytes()), {"ENTRY_INVALID"},
    ),
    "another counter": (dataclasses.replace(PROOF, counter=1), {"TAG_MISMATCH"}),
    "another key": (dataclasses.replace(PROOF, key=bytes(32)), {"TAG_MISMATCH"}),
    "the key of the other chain": (dataclasses.replace(PROOF, key=STATUS.key), {"TAG_MISMATCH"}),
    "another log": (dataclasses.replace(PROOF, origin="other.example/ledger/1"), {"LOG_MISMATCH"}),
    "the receipt of another entry": (
        dataclasses.replace(PROOF, receipt=OTHER.receipt), {"INDEX_MISMATCH"},
    ),
    "no receipt": (dataclasses.replace(PROOF, receipt=b"none"), {"FORMAT_FAILURE"}),
    "a receipt with an extra line": (
        dataclasses.replace(PROOF, receipt=changed(PROOF.receipt, "index 3", "extra AAAA\nindex 3")),
        {"FORMAT_FAILURE"},
    ),
    "another path": (
        dataclasses.replace(PROOF, receipt=OTHER.receipt.replace(b"index 4", b"index 3")),
        {"ENTRY_NOT_IN_LEDGER"},
    ),
    "another anchor": (dated(anchor=(V1 / "anchors/7").read_bytes()), {"ANCHOR_MISMATCH", "ANCHOR_TOKEN_MISMATCH"}),
    "no anchor": (dated(anchor=b"probans/anchor/v1\n"), {"FORMAT_FAILURE"}),
    "another token": (dated(token=(V1 / "anchors/7.tst").read_bytes()), {"ANCHOR_TOKEN_MISMATCH"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_what_was_forged_is_found(name: str, judge) -> None:
    proof, expected = FORGED[name]
    verdict = judge(proof.encode())
    assert verdict.verdict is Outcome.FAILED, verdict.reasons
    assert codes(verdict) == expected


def test_a_checkpoint_signed_by_nobody_known(judge) -> None:
    note = PROOF.receipt.rstrip(b"\n").split(b"\n")
    head, last = note[:-1], note[-1]
    name, _, signature = last.rpartition(b" ")
    octets = base64.b64decode(signature)
    forged = b"\n".join([*head, name + b" " + base64.b64encode(flipped(octets, len(octets) - 1)), b""])
    verdict = judge(dataclasses.replace(PROOF, receipt=forged).encode())
    assert verdict.verdict is Outcome.FAILED
    assert codes(verdict) == {"WITNESS_SIGNATURE_INVALID"}


def test_a_revocation_list_that_serves_nothing(judge) -> None:
    assert PROOF.dated is not None
    crls = PROOF.dated.crls
    assert crls
    twice = judge(dated(crls=(*crls, crls[-1])).encode())
    assert (twice.verdict, codes(twice)) == (Outcome.FAILED, {"MATERIAL_MISMATCH"})
    with tempfile.TemporaryDirectory() as folder:
        foreign = DevPki.open(Path(folder), datetime(2026, 11, 22, tzinfo=UTC)).crls(datetime.now(UTC))
    other = judge(dated(crls=tuple(sorted({*crls, *foreign}))).encode())
    assert (other.verdict, codes(other)) == (Outcome.FAILED, {"MATERIAL_MISMATCH"})


# --- the form of the file


def form(change: Callable[[dict[str, Any]], None]) -> bytes:
    value = json.loads(WHOLE)
    change(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


BAD_FORMS: dict[str, bytes] = {
    "a member more": form(lambda value: value.update(more="x")),
    "a member less": form(lambda value: value.pop("receipt")),
    "another version": form(lambda value: value.update(format="probans/journal-line/v2")),
    "a number for a text": form(lambda value: value.update(origin=1)),
    "an empty text": form(lambda value: value.update(entry="")),
    "an unknown chain": form(lambda value: value["tag"].update(chain="log")),
    "a counter below nothing": form(lambda value: value["tag"].update(counter=-1)),
    "a counter that is a text": form(lambda value: value["tag"].update(counter="2")),
    "a short key": form(lambda value: value["tag"].update(key="00")),
    "a member more in tag": form(lambda value: value["tag"].update(more="x")),
    "a token that is no base64": form(lambda value: value["time"].update(token="*")),
    "base64 of another form": form(lambda value: value["time"].update(token="AB==")),
    "crls that are no list": form(lambda value: value["time"].update(crls="x")),
    "too many crls": form(lambda value: value["time"].update(crls=["AAAA"] * 17)),
    "a blank": WHOLE.replace(b'"format":', b'"format": '),
    "octets behind": WHOLE + b"\n",
    "a member twice": WHOLE.replace(b'"format":', b'"format":"probans/journal-line/v1","format":', 1),
    "not UTF-8": WHOLE.replace(b"probans/journal-line/v1", b"probans/journal-line/\xff"),
    "too long": form(lambda value: value.update(opening="x" * (2 << 20))),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_other_forms_are_refused(name: str, judge) -> None:
    verdict = judge(BAD_FORMS[name])
    assert (verdict.verdict, codes(verdict)) == (Outcome.FAILED, {"FORMAT_FAILURE"})
    assert [check.name for check in verdict.checks] == ["line"]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_of_any_octet_is_found(tmp_path_factory, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(WHOLE) - 1))
    octet = data.draw(st.integers(1, 255))
    forged = WHOLE[:at] + bytes([WHOLE[at] ^ octet]) + WHOLE[at + 1 :]
    path = tmp_path_factory.mktemp("flip") / "line.json"
    path.write_bytes(forged)
    verdict = verify_file(
        path, trust=NONE, tsa_trust=ROOTS, policy=POLICY, at=datetime(2027, 1, 1, tzinfo=UTC)
    )
    assert verdict.verdict is not Outcome.PASSED


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_hostile_octets_end_in_a_refusal(octets: bytes) -> None:
    with pytest.raises(EvidenceRefused):
        LineProof.parse(octets)


# --- a published ledger beside it


class Published:
    """Serves one checkpoint."""

    def __init__(self, note: bytes | None) -> None:
        self.note = note

    def read(self, path: str, limit: int) -> bytes | None:
        return self.note if path == "checkpoint" else None


def test_a_published_ledger_is_asked(judge) -> None:
    source: LedgerSource = Published((V1 / "checkpoint-4").read_bytes())
    older = judge(WHOLE, ledger=source, policy=LOGS)
    assert older.verdict is Outcome.PASSED
    assert outcomes(older)["line.published"] is Outcome.UNCHECKED
    gone = judge(WHOLE, ledger=Published(None), policy=LOGS)
    assert (gone.verdict, codes(gone)) == (Outcome.INDETERMINATE, {"LEDGER_UNAVAILABLE"})
