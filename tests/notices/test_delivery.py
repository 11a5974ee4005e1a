"""From outbox to channel: once, in time, by choice, and whatever happens in between."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import orjson
import pytest
from sqlalchemy import insert, select, update

from vault.clock import parse_rfc3339, rfc3339
from vault.core import faults
from vault.db import models
from vault.domain.contacts import Choice, Choices, When
from vault.domain.notices import (
    Bounced,
    ChannelDown,
    ChannelName,
    Deferred,
    Event,
    Notice,
    Unsure,
    read_payload,
)
from vault.errors import Unavailable
from vault.notices.deliveries import GIVEN_UP_AFTER
from vault.notices.reminders import ReminderKind, cancel_reminders, remind, reminder_row
from vault.outbox import LogNotifier, announce, announce_matter

MAIL = ("mail", "camille@example.org")
MATTER = "cas_" + "c" * 26


class Killed(BaseException):
    """What a fault point raises in place of a kill."""


@pytest.fixture
def kill():
    """Stop at a named point, once."""

    def at(name: str) -> None:
        def hook(point: str) -> None:
            if point == name:
                faults.install(None)
                raise Killed(point)

        faults.install(hook)

    yield at
    faults.install(None)


def handed_on(world: Any) -> None:
    while world.courier.deliver_waiting():
        pass


def test_news_reaches_the_confirmed_contact_once(any_world: Any) -> None:
    world = any_world
    world.confirmed(MAIL)
    world.announce("document.published")
    assert world.courier.deliver_waiting() == 1
    assert world.courier.deliver_waiting() == 0
    assert world.mail_postman.send_due() == 1
    assert world.mail_postman.send_due() == 0
    (letter,) = world.mail.letters
    assert letter.address == "camille@example.org"
    assert "Un document est disponible dans votre coffre-fort numérique." in letter.words.text
    assert "A document is available in your digital safe." in letter.words.text
    assert "https://coffre.example/" in letter.words.text
    assert world.ended() == [("sent", "SENT")]


def test_nobody_is_told_before_they_confirmed(world: Any) -> None:
    world.contacts.replace(world.holder, world.holder.safe_id, [MAIL])
    world.announce("document.published")
    handed_on(world)
    assert world.mail_postman.send_due() == 1  # the code, and nothing else
    assert "Code" in world.mail.letters[0].words.subject
    assert world.ended() == []


@pytest.mark.parametrize(
    ("topic", "kind"), [("document.received", "act"), ("document.published", "attachment")]
)
def test_what_is_no_news_is_not_told(world: Any, topic: str, kind: str) -> None:
    world.confirmed(MAIL)
    document = world.new_document("doc_" + "d" * 26, kind)
    world.announce(topic, document=document)
    handed_on(world)
    assert world.mail_postman.send_due() == 0


def test_old_messages_of_the_outbox_are_read(world: Any) -> None:
    world.confirmed(MAIL)
    world.put("document.published", orjson.dumps({"document": world.document}).decode())
    handed_on(world)
    assert world.mail_postman.send_due() == 1


def test_announcing_writes_identifiers_only() -> None:
    rows: list[tuple[Any, ...]] = []

    class Sink:
        def insert(self, table: str, columns: tuple[str, ...], row: tuple[Any, ...]) -> None:
            rows.append((table, columns, row))

    announce(Sink(), "document.published", "doc_1", "2026-01-01T00:00:00.000Z")
    announce_matter(Sink(), "case.moved", "cas_1", "safe_1", "2026-01-01T00:00:00.000Z")
    assert [row[2][1] for row in rows] == ['{"document":"doc_1"}', '{"matter":"cas_1","safe":"safe_1"}']
    assert read_payload("case.moved", rows[1][2][1]) == Notice(
        "case.moved", matter_id="cas_1", safe_id="safe_1"
    )


def test_the_log_is_told_where_nothing_else_is_set(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "probans.outbox")
    world.courier._notifier = LogNotifier()
    world.announce("document.published")
    handed_on(world)
    (record,) = [each for each in caplog.records if each.message == "notification"]
    assert record.__dict__["document"] == world.document


POISON = [
    "", "null", "[]", "{}", "{", '"doc_1"', '{"document":1}', '{"document":""}', '{"matter":"m"}',
    '{"document":"d","matter":"m","safe":"s"}', '{"document":"d","title":"Acte"}', '{"document":null}',
]  # fmt: skip


@pytest.mark.parametrize("text", POISON)
def test_a_poisoned_message_holds_nobody_up(world: Any, text: str) -> None:
    world.confirmed(MAIL)
    world.put("document.published", text)
    world.announce("document.published")
    handed_on(world)
    assert world.mail_postman.send_due() == 1
    assert sorted(world.ended()) == [("failed", "PAYLOAD_INVALID"), ("sent", "SENT")]


def test_a_poisoned_contact_holds_nobody_up(world: Any) -> None:
    first, second = world.confirmed(MAIL, ("mail", "other@example.org"))
    with world.database.writing() as connection:
        table = models.notice_contacts
        connection.execute(update(table).where(table.c.id == first.id).values(sealed=b"x" * 60))
    world.announce("document.published")
    handed_on(world)
    assert world.mail_postman.send_due() == 1
    assert [letter.address for letter in world.mail.letters] == [second.address]
    assert sorted(world.ended()) == [("failed", "ROW_DAMAGED"), ("sent", "SENT")]


def test_a_poisoned_delivery_holds_nobody_up(world: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published", "case.moved")
    handed_on(world)
    with world.database.writing() as connection:
        table = models.deliveries
        connection.execute(update(table).where(table.c.event == "document").values(event="no such"))
    assert world.mail_postman.send_due() == 1
    assert sorted(world.ended()) == [("failed", "ROW_DAMAGED"), ("sent", "SENT")]


def test_one_recipient_that_fails_does_not_hold_up_the_others(world: Any) -> None:
    world.confirmed(MAIL, ("mail", "b@example.org"), ("mail", "c@example.org"))
    world.announce("document.published")
    handed_on(world)
    world.mail.failures = [Deferred("SMTP_451"), RuntimeError("dear Camille"), None]
    assert world.mail_postman.send_due() == 1
    assert sorted(world.ended()) == [("failed", "RuntimeError"), ("sent", "SENT"), ("waiting", "SMTP_451")]


def test_the_schedule_of_retries(world: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published")
    handed_on(world)
    began, tried = world.clock.now(), []
    world.mail.before = lambda letter: tried.append(world.clock.now() - began)
    world.mail.failures = [Deferred("SMTP_451_4.3.0")] * 10_000
    while world.ended()[0][0] == "waiting":
        world.mail_postman.send_due()
        with world.database.reading() as connection:
            due = connection.scalar(
                select(models.deliveries.c.next_try_at).where(models.deliveries.c.kind == "notice")
            )
        if due is not None:
            world.clock.time = parse_rfc3339(due) - timedelta(milliseconds=1)
            assert world.mail_postman.send_due() == 0
            world.clock.time = parse_rfc3339(due)
    assert tried[0] == timedelta(0)
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(tried)]
    assert waits[:6] == [60, 120, 240, 480, 960, 1920]
    assert max(waits) == 6 * 3600
    assert world.ended() == [("expired", "SMTP_451_4.3.0")]
    assert GIVEN_UP_AFTER <= tried[-1] < GIVEN_UP_AFTER + timedelta(hours=7)


def test_waits_are_spread(world: Any) -> None:
    for jitter, seconds in ((0.0, 30), (0.5, 60), (0.999, 90)):
        world.deliveries._jitter = lambda value=jitter: value
        assert round(world.deliveries.wait(1).total_seconds()) == seconds
    assert world.deliveries.wait(10_000) < timedelta(hours=9.1)


def test_a_closed_way_costs_no_attempt_and_is_not_knocked_at_all_the_time(world: Any) -> None:
    world.confirmed(MAIL, ("mail", "b@example.org"))
    world.announce("document.published")
    handed_on(world)
    knocks = []
    world.mail.before = lambda letter: knocks.append(letter.address)
    world.mail.failures = [ChannelDown("MAIL_UNREACHABLE")]
    assert world.mail_postman.send_due() == 0
    assert world.mail_postman.send_due() == 0
    assert len(knocks) == 1
    world.clock.pass_by(minutes=2)
    assert world.mail_postman.send_due() == 2
    with world.database.reading() as connection:
        attempts = connection.scalars(select(models.deliveries.c.attempts)).all()
    assert set(attempts) == {1}


def test_a_slow_channel_holds_up_itself_alone(world: Any) -> None:
    world.confirmed(MAIL, ("sms", "+33612345678"))
    world.announce("document.published")
    handed_on(world)
    meanwhile: list[int] = []

    def slow(letter: Any) -> None:
        world.announce("case.moved")
        meanwhile.append(world.courier.deliver_waiting())
        meanwhile.append(world.sms_postman.send_due())

    world.mail.before = slow
    assert world.mail_postman.send_due() >= 1
    assert meanwhile[0] == 1
    assert meanwhile[1] >= 1


def test_two_processes_do_not_send_one_letter_twice(any_world: Any) -> None:
    world = any_world
    world.confirmed(MAIL)
    world.announce("document.published")
    handed_on(world)
    twin = world.postman(world.mail, ChannelName.MAIL)
    world.mail.before = lambda letter: None if twin.send_due() == 0 else pytest.fail("sent by two")
    assert world.mail_postman.send_due() == 1
    assert len(world.mail.letters) == 1


def test_two_couriers_do_not_hand_on_one_message_twice(any_world: Any, monkeypatch: Any) -> None:
    world = any_world
    world.confirmed(MAIL)
    world.announce("document.published")
    hand_on, during = world.courier._hand_on, []

    def while_leading() -> int:
        during.append(world.twin_courier().deliver_waiting())
        return hand_on()

    monkeypatch.setattr(world.courier, "_hand_on", while_leading)
    assert world.courier.deliver_waiting() == 1
    assert during == [0]


def test_a_transaction_undone_announces_nothing(world: Any) -> None:
    with suppress(ZeroDivisionError), world.database.writing() as connection:
        row = {"topic": "document.published", "payload": "{}", "created_at": rfc3339(world.clock.now())}
        connection.execute(insert(models.outbox), row)
        raise ZeroDivisionError
    assert world.courier.deliver_waiting() == 0


def test_a_crash_before_sending_loses_nothing(world: Any, kill: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published")
    handed_on(world)
    kill("delivery.claimed")
    with pytest.raises(Killed):
        world.mail_postman.send_due()
    assert world.mail_postman.send_due() == 0  # the lease of the dead one
    world.clock.pass_by(minutes=2)
    assert world.mail_postman.send_due() == 1
    assert len(world.mail.letters) == 1


def test_a_crash_between_send_and_mark_sends_twice_at_most(world: Any, kill: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published")
    handed_on(world)
    for _ in range(4):
        kill("delivery.sent")
        with suppress(Killed):
            world.mail_postman.send_due()
        world.clock.pass_by(minutes=2)
    faults.install(None)
    assert len(world.mail.letters) == 2
    assert world.mail.letters[0].message_id == world.mail.letters[1].message_id
    assert world.ended() == [("unsure", "INTERRUPTED")]


def test_an_answer_that_never_came_sends_twice_at_most(world: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published")
    handed_on(world)
    world.mail.failures = [Unsure("MAIL_NO_ANSWER")] * 9
    for _ in range(5):
        world.mail_postman.send_due()
        world.clock.pass_by(hours=7)
    assert len(world.mail.failures) == 7
    assert world.ended() == [("unsure", "MAIL_NO_ANSWER")]


def test_a_crash_while_handing_on_neither_loses_nor_doubles(world: Any, monkeypatch: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published")
    with monkeypatch.context() as patched:
        patched.setattr(world.deliveries, "add", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            world.courier.deliver_waiting()
    handed_on(world)
    handed_on(world)
    assert world.mail_postman.send_due() == 1


def test_a_database_that_is_away_poisons_no_message(world: Any, monkeypatch: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published")

    def away() -> Any:
        raise Unavailable("DATABASE_UNAVAILABLE")

    with monkeypatch.context() as patched:
        patched.setattr(world.database, "writing", away)
        with pytest.raises(Unavailable):
            world.courier.deliver_waiting()
    handed_on(world)
    assert world.mail_postman.send_due() == 1


def test_lasting_refusals_put_an_address_in_doubt_and_confirming_takes_it_out(world: Any) -> None:
    (contact,) = world.confirmed(MAIL)
    for number in range(1, 5):
        world.clock.pass_by(hours=1)
        world.announce("document.published")
        handed_on(world)
        world.mail.failures = [Bounced("SMTP_550_5.1.1", blames_address=True)]
        world.mail_postman.send_due()
        (contact,) = world.contacts.of(world.holder, world.holder.safe_id)
        assert contact.state == ("confirmed" if number < 3 else "doubtful")
        assert contact.bounces == min(number, 3)  # the fourth was not even tried
    world.mail.failures = []
    world.contacts.send_code(world.holder, world.holder.safe_id, contact.id)
    world.mail_postman.send_due()
    code = world.mail.letters[-1].words.text.split("\n\n")[1]
    assert world.contacts.confirm(world.holder, world.holder.safe_id, contact.id, code).bounces == 0


def test_refusals_that_are_not_the_addresses_do_not_count(world: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published")
    handed_on(world)
    world.mail.failures = [Bounced("SMTP_554_5.7.1", blames_address=False)]
    world.mail_postman.send_due()
    assert world.contacts.of(world.holder, world.holder.safe_id)[0].bounces == 0
    assert world.ended() == [("bounced", "SMTP_554_5.7.1")]


def test_many_documents_at_once_are_one_message_and_the_next_waits_a_while(world: Any) -> None:
    world.confirmed(MAIL)
    world.announce(*["document.published"] * 150)
    handed_on(world)
    assert world.mail_postman.send_due() == 1
    world.clock.pass_by(minutes=1)
    world.announce("document.published")
    handed_on(world)
    assert world.mail_postman.send_due() == 0
    world.clock.pass_by(minutes=15)
    assert world.mail_postman.send_due() == 1
    assert len(world.mail.letters) == 2


def choose(world: Any, event: Event, when: When, *channels: ChannelName, language: str = "fr") -> None:
    choices = Choices(language, {event: Choice(when, frozenset(channels or ChannelName))})
    world.contacts.choose(world.holder, world.holder.safe_id, choices)


def test_never_is_never(world: Any) -> None:
    world.confirmed(MAIL)
    choose(world, Event.DOCUMENT, When.NEVER)
    world.announce("document.published")
    handed_on(world)
    assert world.mail_postman.send_due() == 0
    world.announce("case.moved")
    handed_on(world)
    assert world.mail_postman.send_due() == 1


def test_the_channel_is_the_holders_choice(world: Any) -> None:
    world.confirmed(MAIL, ("sms", "+33 6 12 34 56 78"))
    choose(world, Event.DOCUMENT, When.NOW, ChannelName.SMS, language="en")
    world.announce("document.published")
    handed_on(world)
    assert (world.mail_postman.send_due(), world.sms_postman.send_due()) == (0, 1)
    assert world.sms.texts == ["A document is available in your digital safe. https://coffre.example/"]
    assert world.sms.letters[0].address == "+33612345678"


def test_one_daily_message_counts_and_says_no_more(world: Any) -> None:
    world.confirmed(MAIL)
    choices = {event: Choice(When.DAILY) for event in Event}
    world.contacts.choose(world.holder, world.holder.safe_id, Choices("fr", choices))
    world.announce("document.published", "document.published", "case.moved")
    handed_on(world)
    assert world.mail_postman.send_due() == 0
    world.clock.time = world.clock.time.replace(hour=15, minute=59)
    world.courier.deliver_waiting()
    assert world.mail_postman.send_due() == 0
    world.clock.time = world.clock.time.replace(hour=16, minute=0, second=1)
    world.announce("document.published")  # this one is for tomorrow
    for _ in range(3):
        world.courier.deliver_waiting()
        world.mail_postman.send_due()
        world.clock.pass_by(minutes=30)
    (text,) = world.mail.texts
    assert "2 documents" in text
    assert "1 démarche" in text
    assert "1 procedure" in text
    world.clock.pass_by(days=1)
    for _ in range(3):
        world.courier.deliver_waiting()
        world.mail_postman.send_due()
    assert len(world.mail.letters) == 2
    assert "1 document\n" in world.mail.texts[1]


def test_a_reminder_comes_in_time_and_not_after(world: Any) -> None:
    world.confirmed(MAIL)
    now = world.clock.now()
    plan = {"safe_id": world.holder.safe_id, "matter_id": MATTER}
    with world.database.writing() as connection:
        remind(connection, kind=ReminderKind.APPOINTMENT, due_at=now + timedelta(days=1), **plan)
        remind(
            connection,
            kind=ReminderKind.DEADLINE,
            due_at=now + timedelta(days=3),
            until=now + timedelta(days=4),
            **plan,
        )
    handed_on(world)
    assert world.mail_postman.send_due() == 0
    world.clock.pass_by(days=1)
    world.courier.deliver_waiting()
    handed_on(world)
    assert world.mail_postman.send_due() == 1
    assert "Un rappel vous attend" in world.mail.texts[0]
    world.clock.pass_by(days=9)
    world.courier.deliver_waiting()
    handed_on(world)
    assert world.mail_postman.send_due() == 0


def test_cancelled_reminders_do_not_come(world: Any) -> None:
    world.confirmed(MAIL)
    with world.database.writing() as connection:
        remind(
            connection,
            safe_id=world.holder.safe_id,
            matter_id=MATTER,
            kind=ReminderKind.APPOINTMENT,
            due_at=world.clock.now(),
        )
        assert cancel_reminders(connection, MATTER) == 1
    world.courier.deliver_waiting()
    handed_on(world)
    assert world.mail_postman.send_due() == 0


def test_a_reminders_row_fits_its_table(world: Any) -> None:
    row = reminder_row(
        safe_id=world.holder.safe_id, matter_id=MATTER, kind=ReminderKind.DEADLINE, due_at=world.clock.now()
    )
    assert set(row) == {column.name for column in models.reminders.c}
    assert row["due_at"] == rfc3339(world.clock.now())


def test_what_ended_long_ago_is_deleted(world: Any) -> None:
    world.confirmed(MAIL)
    world.announce("document.published")
    handed_on(world)
    world.mail_postman.send_due()
    world.clock.pass_by(days=31)
    world.courier.deliver_waiting()
    with world.database.reading() as connection:
        assert connection.execute(select(models.deliveries)).first() is None
        assert connection.execute(select(models.outbox)).first() is None
