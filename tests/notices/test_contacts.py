"""Contacts: confirmed by a code, kept encrypted, recovered, and erased."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from storage.errors import ObjectMissing
from vault.core import faults
from vault.db import models
from vault.domain.actors import Actor, Role
from vault.domain.contacts import DEFAULTS, Choice, Choices, ContactState, When, clean_address
from vault.domain.notices import ChannelName, Event
from vault.errors import Conflict, LedgerError, NotFound, Refused, Unavailable
from vault.notices.contacts import MOST_CONTACTS, choices_record
from vault.records.changes import Change
from vault.recovery.tidying import _drop_unopened

MAIL = ("mail", "camille@example.org")


class Killed(BaseException):
    """What a fault point raises in place of a kill."""


def code_of(world: Any) -> str:
    """The code in the last mail."""
    world.mail_postman.send_due()
    found = re.search(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", world.mail.letters[-1].words.text)
    assert found
    return found[0]


def asked(world: Any) -> Any:
    (contact,) = world.contacts.replace(world.holder, world.holder.safe_id, [MAIL])
    return contact


def confirm(world: Any, contact: Any, code: str) -> Any:
    return world.contacts.confirm(world.holder, world.holder.safe_id, contact.id, code)


@pytest.mark.parametrize(
    "written",
    [str, str.lower, lambda code: code.replace("-", ""), lambda code: f" {code} ",
     lambda code: code.replace("0", "O").replace("1", "l")],
)  # fmt: skip
def test_a_code_confirms_however_it_is_typed(world: Any, written: Any) -> None:
    contact = asked(world)
    assert contact.state is ContactState.PENDING
    confirmed = confirm(world, contact, written(code_of(world)))
    assert confirmed.state is ContactState.CONFIRMED
    assert confirmed.confirmed_at == world.clock.now()


def test_a_code_counts_once_and_for_a_day(world: Any) -> None:
    contact = asked(world)
    code = code_of(world)
    world.clock.pass_by(hours=24)
    with pytest.raises(Refused, match="CODE_REFUSED"):
        confirm(world, contact, code)
    world.contacts.send_code(world.holder, world.holder.safe_id, contact.id)
    newer = code_of(world)
    with pytest.raises(Refused, match="CODE_REFUSED"):
        confirm(world, contact, code)
    confirm(world, contact, newer)
    with pytest.raises(Refused, match="CODE_REFUSED"):
        confirm(world, contact, newer)
    with pytest.raises(Conflict):
        world.contacts.send_code(world.holder, world.holder.safe_id, contact.id)


def test_codes_cannot_be_guessed_at_will(world: Any) -> None:
    contact = asked(world)
    code = code_of(world)
    for number in range(10):
        with pytest.raises(Refused, match="CODE_REFUSED"):
            confirm(world, contact, f"{number:010d}")
    with pytest.raises(Refused, match="CODE_REFUSED"):
        confirm(world, contact, code)


def test_nobody_is_pestered_through_us(world: Any) -> None:
    contact = asked(world)
    for _ in range(9):
        world.contacts.send_code(world.holder, world.holder.safe_id, contact.id)
        world.mail_postman.send_due()
    with pytest.raises(Refused, match="CODES_TOO_MANY"):
        world.contacts.send_code(world.holder, world.holder.safe_id, contact.id)
    with pytest.raises(Refused, match="CODES_TOO_MANY"):
        world.contacts.replace(world.holder, world.holder.safe_id, [("mail", "eve@example.org")])
    assert world.contacts.of(world.holder, world.holder.safe_id)[0].id == contact.id  # nothing was changed
    world.clock.pass_by(days=1, seconds=1)
    world.contacts.send_code(world.holder, world.holder.safe_id, contact.id)


def test_codes_of_one_contact_are_not_for_another(world: Any) -> None:
    first = asked(world)
    code = code_of(world)
    both = world.contacts.replace(world.holder, world.holder.safe_id, [MAIL, ("mail", "b@example.org")])
    second = next(each for each in both if each.id != first.id)
    with pytest.raises(Refused):
        confirm(world, second, code)


def test_replacing_keeps_what_stays_and_erases_what_goes(world: Any) -> None:
    before = {each.address: each.id for each in world.confirmed(MAIL, ("sms", "+33 6 12 34 56 78"))}
    after = world.contacts.replace(
        world.holder, world.holder.safe_id, [("mail", "CAMILLE@EXAMPLE.org"), ("mail", "new@example.org")]
    )
    found = {each.address: (each.id in before.values(), each.state.value) for each in after}
    assert found == {"camille@example.org": (True, "confirmed"), "new@example.org": (False, "pending")}
    assert world.contacts.replace(world.holder, world.holder.safe_id, []) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda c, actor, safe, contact: c.of(actor, safe),
        lambda c, actor, safe, contact: c.replace(actor, safe, []),
        lambda c, actor, safe, contact: c.erase(actor, safe, contact),
        lambda c, actor, safe, contact: c.send_code(actor, safe, contact),
        lambda c, actor, safe, contact: c.confirm(actor, safe, contact, "x"),
        lambda c, actor, safe, contact: c.choices(actor, safe),
        lambda c, actor, safe, contact: c.choose(actor, safe, Choices()),
    ],
)
def test_contacts_are_the_holders_alone(world: Any, call: Any) -> None:
    contact = asked(world)
    others = [
        world.new_holder("safe_" + "b" * 26, "dominique", "Dominique"),
        *(Actor(id="x", role=role, administration_id="mairie") for role in Role if role is not Role.HOLDER),
        Actor(id="m", role=Role.MANDATARY, safe_id=world.holder.safe_id, mandate_id="mdt_1"),
    ]
    for actor in others:
        with pytest.raises(NotFound):
            call(world.contacts, actor, world.holder.safe_id, contact.id)
    assert len(world.contacts.of(world.holder, world.holder.safe_id)) == 1


def test_a_contact_of_another_safe_is_not_there(world: Any) -> None:
    contact = asked(world)
    other = world.new_holder("safe_" + "b" * 26, "dominique", "Dominique")
    for call in (world.contacts.erase, world.contacts.send_code):
        with pytest.raises(NotFound):
            call(other, other.safe_id, contact.id)
    with pytest.raises(NotFound):
        world.contacts.confirm(other, other.safe_id, contact.id, "x")


@pytest.mark.parametrize(
    "address",
    ["", "camille", "@example.org", "camille@", "camille@localhost", "a@b@c.org", "a b@example.org", "a@exa mple.org",
     "a@-example.org", "a@example-.org", "a@.org", "a..b@example.org", ".a@example.org", "a.@example.org", "a@1.2.3.4",
     "a@example.org\r\nBcc: eve@example.org", '"a"@example.org', "é@example.org", "a" * 65 + "@example.org",
     "a@" + "b" * 64 + ".org", "a@" + ".".join(["b" * 60] * 5), "a@[127.0.0.1]", "<a@example.org>", "a,b@example.org"],
)  # fmt: skip
def test_what_is_no_mail_address_is_refused(world: Any, address: str) -> None:
    with pytest.raises(Refused, match="ADDRESS_REFUSED"):
        world.contacts.replace(world.holder, world.holder.safe_id, [("mail", address)])


@pytest.mark.parametrize(
    "number", ["0612345678", "+0612345678", "+33", "+336123456789012345", "+33a", "33612345678", ""]
)
def test_what_is_no_number_is_refused(world: Any, number: str) -> None:
    with pytest.raises(Refused, match="ADDRESS_REFUSED"):
        world.contacts.replace(world.holder, world.holder.safe_id, [("sms", number)])


def test_addresses_have_one_form() -> None:
    assert clean_address(ChannelName.MAIL, " Camille.Exemple@EXAMPLE.Org ") == "Camille.Exemple@example.org"
    assert clean_address(ChannelName.MAIL, "a@bücher.example") == "a@xn--bcher-kva.example"
    assert clean_address(ChannelName.SMS, "+33 (6) 12-34.56\u00a078") == "+33612345678"


@given(st.text(max_size=80), st.sampled_from(ChannelName))
def test_a_clean_address_is_safe_in_every_line(text: str, channel: ChannelName) -> None:
    cleaned = clean_address(channel, text)
    assert cleaned is None or (cleaned.isascii() and cleaned.isprintable() and " " not in cleaned)
    assert cleaned is None or clean_address(channel, cleaned) == cleaned


def test_limits(world: Any) -> None:
    many = [("mail", f"a{number}@example.org") for number in range(MOST_CONTACTS + 1)]
    with pytest.raises(Refused, match="CONTACTS_TOO_MANY"):
        world.contacts.replace(world.holder, world.holder.safe_id, many)
    world.contacts._channels = frozenset({ChannelName.MAIL})
    with pytest.raises(Unavailable, match="CHANNEL_UNAVAILABLE"):
        world.contacts.replace(world.holder, world.holder.safe_id, [("sms", "+33612345678")])


def test_choices_come_back_and_have_defaults(world: Any) -> None:
    assert world.contacts.choices(world.holder, world.holder.safe_id) == Choices()
    chosen = Choices("en", {Event.CASE: Choice(When.DAILY, frozenset({ChannelName.SMS}))})
    world.contacts.choose(world.holder, world.holder.safe_id, chosen)
    world.contacts.choose(world.holder, world.holder.safe_id, chosen)
    found = world.contacts.choices(world.holder, world.holder.safe_id)
    assert found == chosen
    assert found.of(Event.SHARING) == DEFAULTS[Event.SHARING]


# At rest


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_nothing_personal_lies_in_clear(world: Any, tmp_path: Path) -> None:
    contact = asked(world)
    code = code_of(world)
    confirm(world, contact, code)
    choices = Choices("en", {Event.CASE: Choice(When.NEVER)})
    world.contacts.choose(world.holder, world.holder.safe_id, choices)
    stored = everything(tmp_path)
    for word in (
        b"camille",
        b"example.org",
        b"Camille",
        code.encode(),
        code.replace("-", "").lower().encode(),
        b"never",
    ):
        assert word not in stored, word


def test_a_contacts_row_does_not_open_for_another(world: Any) -> None:
    first, second = world.confirmed(MAIL, ("mail", "b@example.org"))
    table = models.notice_contacts
    with world.database.writing() as connection:
        row = connection.execute(select(table).where(table.c.id == first.id)).mappings().one()
        values = {"sealed": row["sealed"], "wrapped_key": row["wrapped_key"]}
        connection.execute(update(table).where(table.c.id == second.id).values(values))
    with pytest.raises(LedgerError, match="does not open"):
        world.contacts.of(world.holder, world.holder.safe_id)


def test_erasing_erases_row_record_and_what_waits(world: Any, tmp_path: Path) -> None:
    contact = asked(world)
    with world.database.reading() as connection:
        wrapped = connection.scalar(select(models.notice_contacts.c.wrapped_key))
    world.contacts.erase(world.holder, world.holder.safe_id, contact.id)
    with pytest.raises(ObjectMissing):
        world.records.read(contact.id)
    with world.database.reading() as connection:
        for table in (models.notice_contacts, models.deliveries):
            assert connection.scalar(select(func.count()).select_from(table)) == 0
    assert world.mail_postman.send_due() == 0
    world.database.scrub()
    assert wrapped
    assert wrapped not in everything(tmp_path)


def test_what_is_under_way_when_a_contact_goes_ends_by_itself(world: Any) -> None:
    (contact,) = world.confirmed(MAIL)
    world.announce("document.published")
    world.courier.deliver_waiting()
    table = models.deliveries
    with world.database.writing() as connection:
        claimed = world.deliveries.claim(connection, ChannelName.MAIL, timedelta(minutes=1))
    assert claimed
    world.contacts.erase(world.holder, world.holder.safe_id, contact.id)
    with world.database.reading() as connection:
        assert connection.scalar(select(func.count()).where(table.c.ended_at.is_(None))) == 0


def test_a_closed_safe_forgets_its_contacts(world: Any) -> None:
    (contact,) = world.confirmed(MAIL)
    world.contacts.choose(world.holder, world.holder.safe_id, Choices("en"))
    with world.database.writing() as connection:
        world.contacts.forget(connection, world.holder.safe_id)
    assert world.contacts.of(world.holder, world.holder.safe_id) == []
    assert world.contacts.choices(world.holder, world.holder.safe_id) == Choices()
    for name in (contact.id, choices_record(world.holder.safe_id)):
        with pytest.raises(ObjectMissing):
            world.records.read(name)


def test_contacts_and_choices_come_back_from_their_records(world: Any) -> None:
    (contact,) = world.confirmed(MAIL)
    chosen = Choices("en", {Event.CASE: Choice(When.NEVER)})
    world.contacts.choose(world.holder, world.holder.safe_id, chosen)
    names = (contact.id, choices_record(world.holder.safe_id))
    changes = [Change.decode(data) for name in names for data in world.records.read(name)]
    # `vault.recovery.rebuilding` takes them for the registry
    assert not any(change.tag for change in changes)
    with world.database.writing() as connection:
        connection.execute(models.notice_contacts.delete())
        connection.execute(models.notice_choices.delete())
        for change in changes:
            change.apply(connection, 0, "")
    assert world.contacts.of(world.holder, world.holder.safe_id) == [contact]
    assert world.contacts.choices(world.holder, world.holder.safe_id) == chosen


@pytest.mark.parametrize("point", ["contacts.recorded", "contacts.forgotten"])
def test_a_crash_leaves_nothing_half_done(world: Any, point: str) -> None:
    if point == "contacts.forgotten":
        asked(world)
    hit: list[str] = []

    def hook(name: str) -> None:
        if name == point and not hit:
            hit.append(name)
            raise Killed

    faults.install(hook)
    try:
        with pytest.raises(Killed):
            world.contacts.replace(
                world.holder, world.holder.safe_id, [] if point == "contacts.forgotten" else [MAIL]
            )
    finally:
        faults.install(None)
    left = world.contacts.of(world.holder, world.holder.safe_id)
    assert len(left) == (point == "contacts.forgotten")
    _drop_unopened(world.database, world.records)
    names = [name for name in world.records.names() if name.startswith("cnt_")]
    assert names == []
    for contact in left:
        world.contacts.erase(world.holder, world.holder.safe_id, contact.id)
    assert world.contacts.of(world.holder, world.holder.safe_id) == []
