"""Bundles with an anchor: what it adds to a verdict, and every way of faking one."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from signing.dev_pki import DevPki
from signing.trust import TrustStore
from timestamping.authority import EmbeddedAuthority
from vault.clock import rfc3339
from vault.evidence import layout
from vault.evidence.build import bundle_members, evidence_references, with_seal, write
from vault.evidence.layout import Index, Listed
from vault.evidence.report import Outcome, Verdict
from vault.evidence.seals import token_material
from vault.evidence.texts import commands
from vault.evidence.verify import verify_file
from vault.evidence.wording import lines
from vault.ledger.anchor import Anchor, Links
from vault.ledger.keys import LedgerKeys

EVIDENCE = {layout.EVIDENCE_MANIFEST, layout.EVIDENCE_SIGNATURE}


class Shifted:
    def __init__(self, by: timedelta = timedelta()) -> None:
        self.by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


class Anchoring:
    """Anchors of a safe's log by an authority, and bundles with them."""

    def __init__(self, safe: Any, pki: DevPki, clock: Shifted | None = None) -> None:
        self.safe, self.pki = safe, pki
        key = pki.timestamp
        chain = (key.certificate, *key.chain)
        self.authority = EmbeddedAuthority(key, chain, "2.25.2", clock or Shifted())

    def anchor(self, note: bytes | None = None) -> tuple[bytes, bytes]:
        anchor = Anchor.of(note or self.safe.log.checkpoint(), Links()).encode()
        return anchor, self.authority.token(hashlib.sha256(anchor).digest()).der

    def crls(self) -> tuple[bytes, ...]:
        return self.pki.crls(datetime.now(UTC))

    def parts(self, document: Any, pair: tuple[bytes, bytes] | None = None) -> Any:
        parts = self.safe.bundle_parts(document)
        anchor, token = pair or self.anchor()
        inside = token_material(token)
        parts = parts.with_material(sorted(inside.certificates), (*inside.crls, *self.crls()))
        return dataclasses.replace(parts, anchor=(anchor, token))

    def bundle(self, document: Any, *, sealed: bool = True) -> bytes:
        parts = self.parts(document)
        if sealed:
            material = self.safe.material(self.safe.pki.evidence_seal)
            ders = [item.public_bytes(Encoding.DER) for item in material.certificates]
            parts = parts.with_material(ders, material.crls)
        members = bundle_members(parts)
        if sealed:
            seal = self.safe.seal(evidence_references(members))
            members = with_seal(members, seal.manifest, seal.signature)
        return b"".join(write(members))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> DevPki:
    return DevPki.open(tmp_path_factory.mktemp("foreign"), datetime.now(UTC) - timedelta(hours=1))


@pytest.fixture(scope="module")
def outside(safe: Any, foreign: DevPki) -> Anchoring:
    return Anchoring(safe, foreign)


@pytest.fixture
def judge(safe: Any, foreign: DevPki, tmp_path: Path) -> Callable[..., Verdict]:
    both = TrustStore([*safe.pki.roots(), *foreign.roots()])

    def run(data: bytes, **changes: Any) -> Verdict:
        path = tmp_path / "judged"
        path.write_bytes(data)
        means = {"trust": safe.trust(), "tsa_trust": both, "policy": safe.log.policy()}
        return verify_file(path, **{**means, **changes})

    return run


def outcome(verdict: Verdict, name: str) -> Outcome:
    return next(check.outcome for check in verdict.checks if check.name == name)


def codes(verdict: Verdict, name: str = "") -> set[str]:
    return {reason.code for reason in verdict.reasons if reason.message.startswith(name)}


def reindexed(files: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """Change members of an unsealed bundle and write evidence.json again, as a forger would."""
    new = {
        name: data for name, data in {**files, **changes}.items() if data is not None and name not in EVIDENCE
    }
    index = Index.parse(new.pop(layout.INDEX))
    listed = tuple(
        Listed(name, layout.role_of(name) or "", hashlib.sha256(new[name]).hexdigest(), len(new[name]))
        for name in sorted(new, key=layout.rank)
    )
    return {**new, layout.INDEX: dataclasses.replace(index, members=listed).encode()}


@pytest.mark.parametrize("sealed", [True, False])
def test_both_bounds_of_the_date_are_given(sealed: bool, safe: Any, outside: Anchoring, judge: Any) -> None:
    for document in (safe.issue(), safe.deposit()):
        verdict = judge(outside.bundle(document, sealed=sealed))
        assert verdict.verdict is Outcome.PASSED, verdict.reasons
        for name in ("anchor", "anchor.checkpoint", "anchor.token", "anchor.time"):
            assert outcome(verdict, name) is Outcome.PASSED
        ledger = verdict.as_dict()["ledger"]
        assert isinstance(ledger, dict)
        assert ledger["anchor"] == "PASSED"
        assert ledger["recorded_after"] == verdict.signatures[0].signing_time
        assert ledger["recorded_after"] <= ledger["recorded_before"] <= rfc3339(datetime.now(UTC))
        # A development authority states the purpose of a safe's own: nobody takes it for an outsider.
        assert ledger["anchor_own_authority"] is True
        french, english = (list(lines(verdict, language)) for language in ("fr", "en"))
        assert any("Inscrit entre le" in line and "exploitant lui-même" in line for line in french)
        assert any("Recorded between" in line and "operator's own" in line for line in english)


def test_without_an_anchor_nothing_pretends(safe: Any, judge: Any) -> None:
    verdict = judge(safe.bundle(safe.issue()))
    assert verdict.verdict is Outcome.PASSED
    assert outcome(verdict, "anchor") is Outcome.PENDING
    ledger = verdict.as_dict()["ledger"]
    assert isinstance(ledger, dict)
    assert ledger["anchor"] == "pending"
    assert "recorded_before" not in ledger


def test_an_unknown_authority_is_indeterminate(safe: Any, outside: Anchoring, judge: Any) -> None:
    verdict = judge(outside.bundle(safe.issue()), tsa_trust=safe.trust())
    assert verdict.verdict is Outcome.INDETERMINATE
    assert codes(verdict) == {"NO_CERTIFICATE_CHAIN_FOUND"}
    assert verdict.ledger is not None
    assert verdict.ledger.anchor == "INDETERMINATE"
    assert verdict.ledger.dated is None


def test_anchors_of_other_checkpoints(
    safe: Any, outside: Anchoring, judge: Any, members_of: Any, pack: Any
) -> None:
    early = outside.anchor()
    files = members_of(outside.bundle(safe.issue(), sealed=False))
    late = outside.anchor(safe.log.keys.sign_checkpoint(9999, bytes(32), datetime.now(UTC)))
    for anchor, token in (early, late):
        forged = reindexed(files, {layout.ANCHOR: anchor, layout.ANCHOR_TOKEN: token})
        verdict = judge(pack(forged))
        assert verdict.verdict is Outcome.FAILED
        assert codes(verdict, "anchor") == {"ANCHOR_MISMATCH"}
        assert verdict.ledger.dated is None


def test_a_token_of_another_anchor(
    safe: Any, outside: Anchoring, judge: Any, members_of: Any, pack: Any
) -> None:
    _, other = outside.anchor()
    files = members_of(outside.bundle(safe.issue(), sealed=False))
    verdict = judge(pack(reindexed(files, {layout.ANCHOR_TOKEN: other})))
    assert codes(verdict, "anchor") == {"ANCHOR_TOKEN_MISMATCH"}
    assert verdict.verdict is Outcome.FAILED


def test_an_anchor_signed_by_another_log_key(
    safe: Any, outside: Anchoring, judge: Any, members_of: Any, pack: Any
) -> None:
    files = members_of(outside.bundle(safe.issue(), sealed=False))
    genuine = Anchor.parse(files[layout.ANCHOR]).checkpoint
    strangers = LedgerKeys.new(genuine.origin)
    note = strangers.sign_checkpoint(genuine.size, genuine.root, datetime.now(UTC))
    anchor, token = outside.anchor(note)
    verdict = judge(pack(reindexed(files, {layout.ANCHOR: anchor, layout.ANCHOR_TOKEN: token})))
    assert codes(verdict, "anchor.checkpoint") == {"LOG_SIGNATURE_MISSING"}
    assert verdict.verdict is Outcome.INDETERMINATE


def test_an_anchor_dated_before_its_entries(
    safe: Any, foreign: DevPki, outside: Anchoring, judge: Any, members_of: Any, pack: Any
) -> None:
    files = members_of(outside.bundle(safe.issue(), sealed=False))
    early = Anchoring(safe, foreign, Shifted(timedelta(minutes=-6)))
    anchor = files[layout.ANCHOR]
    token = early.authority.token(hashlib.sha256(anchor).digest()).der
    verdict = judge(pack(reindexed(files, {layout.ANCHOR_TOKEN: token})))
    assert verdict.verdict is Outcome.FAILED
    assert codes(verdict) == {"ANCHOR_TIME"}


def test_one_of_the_two_is_not_enough(
    safe: Any, outside: Anchoring, judge: Any, members_of: Any, pack: Any
) -> None:
    files = members_of(outside.bundle(safe.issue(), sealed=False))
    for name in (layout.ANCHOR, layout.ANCHOR_TOKEN):
        verdict = judge(pack(reindexed(files, {name: None})))
        assert codes(verdict) == {"MEMBER_MISSING"}


def test_both_taken_away_leaves_what_does_not_belong(
    safe: Any, outside: Anchoring, judge: Any, members_of: Any, pack: Any
) -> None:
    files = members_of(outside.bundle(safe.issue(), sealed=False))
    verdict = judge(pack(reindexed(files, {layout.ANCHOR: None, layout.ANCHOR_TOKEN: None})))
    assert codes(verdict) == {"MATERIAL_MISMATCH"}


def test_further_certificates_and_lists_are_refused(
    safe: Any, outside: Anchoring, judge: Any, members_of: Any, pack: Any, tmp_path: Path
) -> None:
    files = members_of(outside.bundle(safe.issue(), sealed=False))
    strange = DevPki.open(tmp_path / "strange", datetime.now(UTC))
    crl = strange.crls(datetime.now(UTC))[1]
    der = strange.authority.public_bytes(Encoding.DER)
    for name, data in ((layout.revocation_member(crl), crl), (layout.certificate_member(der), der)):
        assert codes(judge(pack(reindexed(files, {name: data})))) == {"MATERIAL_MISMATCH"}
    gone = next(layout.revocation_member(crl) for crl in outside.crls())
    assert codes(judge(pack(reindexed(files, {gone: None}))))


def test_no_octet_of_anchor_and_token_is_free(
    safe: Any, outside: Anchoring, judge: Any, members_of: Any, pack: Any
) -> None:
    files = members_of(outside.bundle(safe.deposit(), sealed=False))
    assert judge(pack(reindexed(files, {}))).verdict is Outcome.PASSED
    for name in (layout.ANCHOR, layout.ANCHOR_TOKEN):
        data = files[name]
        for at in range(0, len(data), max(1, len(data) // 60)):
            for bit in (0x01, 0x80):
                changed = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
                verdict = judge(pack(reindexed(files, {name: changed})))
                assert verdict.verdict is not Outcome.PASSED, (name, at, bit)
                assert "PROCESSING_ERROR" not in codes(verdict)
                assert verdict.ledger.dated is None


@pytest.mark.needs("openssl")
@pytest.mark.needs("unzip")
def test_the_anchor_by_hand(safe: Any, outside: Anchoring, tmp_path: Path) -> None:
    (tmp_path / "bundle.asice").write_bytes(outside.bundle(safe.issue("à la main"), sealed=False))
    (tmp_path / "roots.pem").write_bytes(safe.pki.roots_pem() + outside.pki.roots_pem())
    (tmp_path / "vkeys").write_text("".join(f"{key}\n" for key in safe.log.keys.vkeys))
    folder = tmp_path / "bundle"
    subprocess.run(["unzip", "-q", "bundle.asice", "-d", "bundle"], cwd=tmp_path, check=True)
    places = {"ROOTS": str(tmp_path / "roots.pem"), "VKEYS": str(tmp_path / "vkeys"), "TMPDIR": str(tmp_path)}

    def by_hand() -> int:
        script = commands((folder / "README.txt").read_bytes())
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env={**os.environ, **places},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ("TOUT EST EN ORDRE" in done.stdout) is (done.returncode == 0)
        return done.returncode

    assert by_hand() == 0
    other, token = outside.anchor(safe.log.keys.sign_checkpoint(9999, bytes(32), datetime.now(UTC)))
    for changes in (
        {layout.ANCHOR: other},
        {layout.ANCHOR_TOKEN: token},
        {layout.ANCHOR: other, layout.ANCHOR_TOKEN: token},
    ):
        good = {name: (folder / name).read_bytes() for name in changes}
        for name, data in changes.items():
            (folder / name).write_bytes(data)
        assert by_hand() != 0, changes.keys()
        for name, data in good.items():
            (folder / name).write_bytes(data)
