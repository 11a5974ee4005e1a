"""Who is given the content of a document: every verdict, every seal, every reader."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from vault.authorization.giving import Giving
from vault.domain.actors import Actor, Role
from vault.domain.documents import Document, Kind, Private
from vault.domain.states import Reception, Scan, Sealing, Status
from vault.errors import Conflict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRIVATE = Private("Titre", "a.pdf", "camille", "camille", "", "", "00" * 32, "00" * 32)
PIECE = Document(
    id="doc_1", kind=Kind.ATTACHMENT, safe_id="safe_1", issuer_id=None, document_type="",
    media_type="text/plain", size=1,
    reception=Reception.RECEIVED, sealing=Sealing.SEALED, scan=Scan.CLEAN, status=Status.VALID, created_at=NOW,
    retain_until=NOW, superseded_by=None, supersedes=None, first_seq=1, issued_seq=1, next_status=1, next_access=0,
    private=PRIVATE,
)  # fmt: skip
ACT = replace(PIECE, kind=Kind.ACT, issuer_id="town", private=replace(PRIVATE, actor="agent-1"))
MANDATED = replace(PIECE, private=replace(PRIVATE, actor="dominique", mandate="man_1"))
HOLDER = Actor("camille", Role.HOLDER, safe_id="safe_1")
OTHER_NAME = Actor("camille-2", Role.HOLDER, safe_id="safe_1")
STRANGER = Actor("camille", Role.HOLDER, safe_id="safe_2")
MANDATARY = Actor("dominique", Role.MANDATARY, safe_id="safe_3", mandate_id="man_1")
AGENT = Actor("agent-1", Role.AGENT, administration_id="town")
COLLEAGUE = Actor("agent-2", Role.AGENT, administration_id="town")
# The same identifier in another quality is somebody else.
NAMESAKE = Actor("agent-1", Role.HOLDER, safe_id="safe_4")
BEARER = Actor("camille", Role.BEARER, share_id="shr_1")
SYSTEM = Actor("agent-1", Role.SYSTEM, administration_id="town")
EVERYBODY = [HOLDER, OTHER_NAME, STRANGER, MANDATARY, AGENT, COLLEAGUE, NAMESAKE, BEARER, SYSTEM, None]
BROUGHT = {id(PIECE): [HOLDER, OTHER_NAME], id(ACT): [AGENT, SYSTEM], id(MANDATED): [MANDATARY]}


@pytest.mark.parametrize("unscanned", [True, False])
@pytest.mark.parametrize("reader", EVERYBODY, ids=str)
@pytest.mark.parametrize("document", [PIECE, ACT, MANDATED], ids=["piece", "act", "mandated"])
def test_who_is_given_what(document: Document, reader: Actor | None, unscanned: bool) -> None:
    giving = Giving(unscanned=unscanned)
    own = reader in BROUGHT[id(document)]

    def code(scan: Scan) -> str:
        return giving.refusal(replace(document, scan=scan), reader)

    assert code(Scan.CLEAN) == ""
    assert code(Scan.INFECTED) == "DOCUMENT_INFECTED"
    assert code(Scan.PENDING) == ("" if own else "SCAN_PENDING")
    assert code(Scan.UNSCANNED) == ("" if own or unscanned else "SCAN_PENDING")
    for scan in Scan:
        assert (
            giving.refusal(replace(document, scan=scan, sealing=Sealing.WAITING), reader) == "NOT_PUBLISHED"
        )
        assert (
            giving.refusal(replace(document, scan=scan, reception=Reception.REJECTED), reader)
            == "NOT_PUBLISHED"
        )


def test_what_is_refused_is_raised_with_its_code() -> None:
    giving = Giving(unscanned=False)
    giving.demand(PIECE)
    with pytest.raises(Conflict) as caught:
        giving.demand(replace(PIECE, scan=Scan.PENDING), AGENT)
    assert (caught.value.code, caught.value.params) == ("SCAN_PENDING", {"document": "doc_1"})
    assert giving.refusal(replace(PIECE, scan=Scan.PENDING, private=None), HOLDER) == "SCAN_PENDING"
