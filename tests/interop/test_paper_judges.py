"""EU DSS on the sealed papers of consents, withdrawals and statements."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from vault.bootstrap import open_vault
from vault.domain.documents import NewDocument
from vault.domain.requests import Answer, NewAnswer, NewRequest, OtherWay
from vault.domain.transfer import Transfer
from vault.settings import Settings


@pytest.mark.needs("dss")
def test_dss_passes_consent_withdrawal_and_statement(dss: Any, tmp_path: Path) -> None:
    vault = open_vault(Settings(data=tmp_path / "data"), background=False)
    try:
        holder, agent = (vault.personas.named(name).actor for name in ("camille", "agent-paie"))
        registrar = vault.personas.named("agent-etat-civil").actor
        new = NewDocument("camille", "Acte", "acte.txt", document_type="acte-de-naissance")
        act = vault.issuing.issue(registrar, "mairie-specimen", new, iter((b"un acte",)), Transfer("a"))
        once = vault.people.tell_once
        asked = {
            "holder": "camille",
            "purpose": "instruction-dossier",
            "words": "Pour votre dossier",
            "legal_basis": "Loi",
            "answer_by": vault.parts.clock.now() + timedelta(days=1),
            "otherwise": OtherWay("paper", "Par courrier", "By post"),
        }
        for_document = NewRequest(
            **asked, document_types=(new.document_type,), actions=("read",), access_days=1
        )
        for_attribute = NewRequest(**asked, attribute="birth-recorded")
        first, second = (
            once.requests.make(agent, "employeur-specimen", each, f"r{number}").document_id
            for number, each in enumerate((for_document, for_attribute))
        )
        once.answers.answer(holder, first, NewAnswer(Answer.ACCEPT, (act.document_id,)), "a1")
        once.answers.answer(holder, second, NewAnswer(Answer.ATTEST), "a2")
        consent = once.requests.see(holder, first).consents[0].id
        statement = once.requests.see(holder, second).statements[0].id
        once.consents.withdraw(holder, consent, "w1")
        papers = {
            "consent": once.consents.paper(agent, consent, "consent"),
            "withdrawal": once.consents.paper(agent, consent, "withdrawal"),
            "statement": once.statements.paper(agent, statement),
        }
        roots = tmp_path / "roots.pem"
        roots.write_bytes(vault.trust.roots_pem)
    finally:
        vault.close()
    files = []
    for name, container in papers.items():
        files.append(tmp_path / f"{name}.asice")
        files[-1].write_bytes(container)
    for verdict in dss(files, roots):
        assert not verdict["error"], verdict
        (signature,) = verdict["signatures"]
        assert (signature["indication"], signature["errors"]) == ("TOTAL_PASSED", [])
        assert [each["indication"] for each in signature["timestamps"]] == ["PASSED"]
