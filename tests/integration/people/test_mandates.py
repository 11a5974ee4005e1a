"""Mandates and time: what begins, ends and is taken back in mid-request; what survives the loss of the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from vault.domain.actors import Actor, Role
from vault.settings import Settings

NOTHING = "mdt_00000000000000000000000000"


def test_an_expired_mandate_opens_nothing_and_the_try_is_in_the_journal(aside, refused):
    document, mandatary = aside.issue(), aside.mandate()
    assert aside.read(document, mandatary)
    aside.clock.forward(days=61)
    assert refused(lambda: aside.read(document, mandatary)) == "NOT_FOUND"
    assert aside.journal(document) == [
        ("document.read", "read", mandatary.mandate_id),
        ("document.read-refused", "read", mandatary.mandate_id),
    ]
    assert aside.people.mandates.see(aside.camille, mandatary.mandate_id).state == "expired"
    with pytest.raises(Exception, match="NOT_FOUND"):
        aside.people.mandates.demand_held("dominique", mandatary.mandate_id)


def test_one_that_begins_later_opens_nothing_before(aside, refused):
    document = aside.issue()
    mandatary = aside.mandate(starts_at=aside.clock.now() + timedelta(days=2))
    assert refused(lambda: aside.read(document, mandatary)) == "NOT_FOUND"
    assert aside.journal(document) == [("document.read-refused", "read", mandatary.mandate_id)]
    aside.clock.forward(days=3)
    assert aside.read(document, mandatary)


def test_one_that_ends_between_decision_and_entry_opens_nothing(aside, refused):
    document, mandatary = aside.issue(), aside.mandate()
    journal = aside.vault.reading._journal
    note = journal.note

    def late(*args: object) -> object:
        aside.people.mandates.end(aside.camille, mandatary.mandate_id, "", aside.key())
        return note(*args)

    journal.note = late
    try:
        assert refused(lambda: aside.read(document, mandatary)) == "NOT_FOUND"
    finally:
        journal.note = note
    assert aside.journal(document) == [("document.read-refused", "read", mandatary.mandate_id)]


@pytest.mark.parametrize("how", ["expires", "is revoked"])
def test_one_that_ends_while_a_file_comes_takes_nothing_in(aside, refused, how):
    mandatary = aside.mandate()

    def slow() -> Iterator[bytes]:
        yield b"first"
        if how == "expires":
            aside.clock.forward(days=61)
        else:
            aside.people.mandates.end(aside.camille, mandatary.mandate_id, "", aside.key())
        yield b"second"

    assert refused(lambda: aside.deposit(mandatary, chunks=slow())) == "UNKNOWN_HOLDER"
    page = aside.vault.reading.list(aside.camille, aside.safe_id, None, 10)
    assert page.items == ()
    aside.audited()


def test_a_mandate_is_the_person_s_alone(world, refused):
    document, mandatary = world.issue(), world.mandate()
    for other in (
        replace(mandatary, id="un-tiers"),
        replace(mandatary, role=Role.HOLDER),
        replace(mandatary, mandate_id=None),
        replace(mandatary, mandate_id=NOTHING),
        replace(mandatary, mandate_id=document),
        Actor("dominique", Role.AGENT, mandate_id=mandatary.mandate_id),
        Actor("dominique", Role.SYSTEM, mandate_id=mandatary.mandate_id, scopes=frozenset({"acts:read"})),
    ):
        assert refused(lambda other=other: world.read(document, other)) == "NOT_FOUND"


def test_the_longest_time_is_a_setting(tmp_path, refused):
    from tests.integration.people.conftest import World

    short = World(Settings(data=tmp_path / "data", mandate_days=10, mandate_authorities=""))
    try:
        assert refused(short.mandate) == "FIELD_INVALID"
        assert short.mandate(ends_at=short.clock.now() + timedelta(days=9))
        # Without an authority in the settings nobody names a guardian.
        soon = short.clock.now() + timedelta(days=9)
        assert refused(lambda: short.guardian(ends_at=soon)) == "NOT_FOUND"
    finally:
        short.vault.close()


def test_software_needs_the_scope_and_the_authority(world, refused):
    software = Actor(
        "sys", Role.SYSTEM, administration_id="mairie-specimen", scopes=frozenset({"acts:issue"})
    )
    assert refused(lambda: world.mandate(software, kind="guardian")) == "NOT_FOUND"
    given = world.mandate(replace(software, scopes=frozenset({"mandates:write"})), kind="guardian")
    assert world.people.mandates.see(
        replace(software, scopes=frozenset({"mandates:write"})), str(given.mandate_id)
    )
    other = Actor(
        "sys", Role.SYSTEM, administration_id="employeur-specimen", scopes=frozenset({"mandates:write"})
    )
    assert refused(lambda: world.mandate(other, kind="guardian")) == "NOT_FOUND"


def test_what_a_lost_database_leaves(everywhere, refused):
    document = everywhere.issue()
    live, revoked, guardian = everywhere.mandate(), everywhere.mandate(), everywhere.guardian()
    everywhere.people.mandates.end(everywhere.camille, revoked.mandate_id, "Fin", "the-end")
    dated = everywhere.mandate(ends_at=everywhere.clock.now() + timedelta(days=2))
    deposited = everywhere.deposit(live)
    assert everywhere.read(document, live)
    everywhere.audited()
    everywhere.lose_and_recover()
    held = everywhere.people.mandates.held(everywhere.dominique)
    assert {view.mandate.id: view.state for view in held} == {
        live.mandate_id: "live",
        guardian.mandate_id: "live",
        dated.mandate_id: "live",
        revoked.mandate_id: "revoked",
    }
    assert everywhere.read(document, live)
    assert everywhere.read(deposited, guardian)
    assert refused(lambda: everywhere.read(document, revoked)) == "NOT_FOUND"
    assert everywhere.people.mandates.end(everywhere.camille, revoked.mandate_id, "Fin", "the-end").replayed
    everywhere.clock.forward(days=3)
    assert refused(lambda: everywhere.read(document, dated)) == "NOT_FOUND"
    everywhere.audited()


def test_nothing_of_it_stands_in_clear(aside):
    aside.mandate(mandatary="personne-reconnaissable", basis="Jugement reconnaissable 77/1")
    aside.vault.publisher.publish_last()
    for file in aside.settings.data.rglob("*"):
        if file.is_file() and "personas" not in file.name:
            octets = file.read_bytes()
            assert b"reconnaissable" not in octets, file
