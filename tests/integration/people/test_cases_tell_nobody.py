"""Opening a case says who has a safe, and leaves there what its holder sees: there is no way to ask unseen."""

from __future__ import annotations

import pytest

from vault.cases import CaseStep, NewCase, Words
from vault.domain.actors import Actor


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
