"""Acts and cases must land somewhere: who learns whether a holder has a safe leaves something there to be seen."""

from __future__ import annotations

import pytest

from vault.domain.actors import Actor
from vault.domain.documents import NewDocument
from vault.domain.transfer import Transfer
from vault.matters.cases import CaseStep, NewCase, Words


def case(world, holder: str, reference: str) -> NewCase:
    return NewCase(
        holder, reference, "inscription", "", Words("Inscription"), CaseStep("recue", Words("Reçue"))
    )


def open_case(world, new: NewCase, key: str) -> object:
    actor: Actor = world.registrar
    return world.people.cases.open(actor, str(actor.administration_id), new, key)


@pytest.mark.parametrize("holder", ["camille", "prs_nobody_here"])
def test_what_opens_no_case_says_nothing_of_the_holder(world, refused, holder):
    taken, used = world.key(), world.key()
    open_case(world, case(world, "dominique", taken), used)
    again = case(world, holder, taken)
    assert refused(lambda: open_case(world, again, world.key())) == "CASE_EXISTS"
    assert (
        refused(lambda: open_case(world, case(world, holder, world.key()), used)) == "IDEMPOTENCY_KEY_REUSED"
    )
    assert (
        refused(lambda: open_case(world, case(world, holder, world.key()), "a b"))
        == "IDEMPOTENCY_KEY_INVALID"
    )


def test_a_case_for_nobody_is_refused(world, refused):
    assert refused(lambda: open_case(world, case(world, "prs_nobody_here", world.key()), world.key())) == (
        "UNKNOWN_HOLDER"
    )


def issue(world, holder: str, key: str, content: bytes = b"x", **more: object) -> object:
    new = NewDocument(holder, "Acte", "acte.pdf", document_type="acte-de-naissance", **more)  # type: ignore[arg-type]
    actor: Actor = world.registrar
    chunks = iter((content,))
    return world.vault.issuing.issue(actor, str(actor.administration_id), new, chunks, Transfer(key))


@pytest.mark.parametrize("holder", ["camille", "prs_nobody_here"])
def test_what_issues_no_act_says_nothing_of_the_holder(world, refused, holder):
    used = world.key()
    issue(world, "dominique", used, b"one")
    other = world.issue(holder="dominique")
    assert refused(lambda: issue(world, holder, world.key(), b"")) == "EMPTY_FILE"
    assert refused(lambda: issue(world, holder, world.key(), b"%PDF-1.7\ncut")) == "PDF_DAMAGED"
    assert refused(lambda: issue(world, holder, used)) == "IDEMPOTENCY_KEY_REUSED"
    assert refused(lambda: issue(world, holder, "a b")) == "IDEMPOTENCY_KEY_INVALID"
    assert refused(lambda: issue(world, holder, world.key(), supersedes=other)) == "FIELD_INVALID"


def test_an_act_for_nobody_is_refused_and_leaves_nothing(world, refused):
    before = len(list(world.vault.parts.records.names()))
    assert refused(lambda: issue(world, "prs_nobody_here", world.key(), b"two")) == "UNKNOWN_HOLDER"
    assert len(list(world.vault.parts.records.names())) == before
