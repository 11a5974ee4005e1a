"""The 29 real PDFs of other software: issued or refused for the reviewed reason, and kept byte for byte."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from signing.trust import TrustStore
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.errors import Refused
from vault.evidence.verify import verify_file
from vault.ledger.policy import Policy
from vault.service import Vault

DATA = Path(__file__).parents[1] / "data"


def expected() -> dict[str, str]:
    with (DATA / "expected.tsv").open(encoding="utf-8", newline="") as stream:
        return {
            row[0]: row[1] for row in csv.reader(stream, delimiter="\t") if row and row[0].endswith(".pdf")
        }


def octets(vault: Vault, document_id: str, what: str) -> bytes:
    holder = vault.personas.named("camille").actor
    return b"".join(getattr(vault.reading, what)(holder, document_id, "").read(0, None))


def test_the_table_names_every_file() -> None:
    files = {file.name for file in (DATA / "pdf-real").glob("*.pdf")}
    assert set(expected()) == files
    assert len(files) == 29


def test_as_acts_each_is_issued_and_proven_or_refused_for_its_reason(vault: Vault, tmp_path: Path) -> None:
    agent = vault.personas.named("agent-etat-civil").actor
    trust = TrustStore.from_pem(vault.trust.roots_pem)
    policy = Policy.from_vkeys("\n".join(vault.trust.vkeys) + "\n")
    for name, reason in expected().items():
        content = (DATA / "pdf-real" / name).read_bytes()
        new = NewDocument("camille", name, name)
        issue = (agent, "mairie-specimen", new, iter((content,)), Transfer(name))
        if reason != "issued":
            with pytest.raises(Refused) as caught:
                vault.issuing.issue(*issue)
            assert caught.value.code == reason, name
            continue
        outcome = vault.issuing.issue(*issue)
        sealed = octets(vault, outcome.document_id, "original")
        assert sealed.startswith(content), name
        for what in ("original", "bundle"):
            file = tmp_path / f"{what}-{name}"
            file.write_bytes(octets(vault, outcome.document_id, what))
            verdict = verify_file(file, trust=trust, tsa_trust=None, policy=policy)
            assert verdict.as_dict()["verdict"] == "PASSED", (name, what, verdict.as_json())


def test_as_attachments_all_come_back_byte_for_byte(vault: Vault) -> None:
    holder = vault.personas.named("camille").actor
    for name in expected():
        content = (DATA / "pdf-real" / name).read_bytes()
        new = NewDocument("camille", name, name)
        outcome = vault.submissions.deposit(holder, new, iter((content,)), Transfer(name))
        assert octets(vault, outcome.document_id, "original") == content, name
