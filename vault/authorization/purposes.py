"""Why a document is read: each service of an administration has a short list of purposes, and words may be added.

An operator registers services. A service's row has a recovery file of its own, durable before the row changes, like
an administration's. An administration without any service registered names its purposes freely, in the shape that
`vault.access` checks.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from vault.access import checked_purpose
from vault.clock import Clock, rfc3339
from vault.db import models
from vault.db.engine import Database
from vault.domain.actors import Actor, Role
from vault.errors import NotFound, Refused
from vault.files.fields import check_code, check_text
from vault.records.book import RecordBook
from vault.records.changes import Change

MAX_WORDS = 300
MAX_PURPOSES = 40
_MAX_NAME = 200
# At most four characters are composed into one.
_MAX_DECOMPOSED = 4 * MAX_WORDS
_RECORD = "service-"
_BOUND = frozenset({Role.AGENT, Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Purpose:
    """A purpose that a service may name.

    Attributes:
        code: lower-case letters, digits and hyphens.
        fr: in French words.
        en: in English words.
    """

    code: str
    fr: str
    en: str


@dataclass(frozen=True, slots=True)
class Service:
    """A service of an administration.

    Attributes:
        administration_id: whose it is.
        id: its code; "" stands for the administration as a whole, and for its services without row.
        fr: name in French.
        en: name in English.
        purposes: what it may name, at least one.
    """

    administration_id: str
    id: str
    fr: str
    en: str
    purposes: tuple[Purpose, ...]


class Purposes:
    """Registers services and checks purposes."""

    def __init__(self, database: Database, records: RecordBook, clock: Clock) -> None:
        self._database = database
        self._records = records
        self._clock = clock

    def register(self, service: Service) -> None:
        """Register a service, or change its names and purposes. Reads in the journal keep the code they named.

        Raises:
            Refused: FIELD_INVALID naming the field.
            NotFound: UNKNOWN_ADMINISTRATION.
        """
        _check(service)
        with self._database.writing() as connection:
            known = select(models.administrations.c.id).where(
                models.administrations.c.id == service.administration_id
            )
            if connection.scalar(known) is None:
                raise NotFound("UNKNOWN_ADMINISTRATION")
            key = {"administration_id": service.administration_id, "service": service.id}
            values: dict[str, Any] = {
                "name_fr": service.fr,
                "name_en": service.en,
                "purposes": json.dumps(
                    [{"code": each.code, "fr": each.fr, "en": each.en} for each in service.purposes],
                    ensure_ascii=False,
                ),
                "updated_at": rfc3339(self._clock.now()),
            }
            # Inserted where it is missing, updated where it is there: see vault.recovery.rebuilding.
            change = Change(
                service.administration_id,
                b"",
                b"",
                inserts=(("services", {**key, **values}),),
                updates=(("services", key, values),),
            )
            self._records.write(_RECORD + _digest(service), [change.encode()])
            there = _row(connection, service.administration_id, service.id) is not None
            Change(
                service.administration_id,
                b"",
                b"",
                inserts=() if there else change.inserts,
                updates=change.updates if there else (),
            ).apply(connection, 0, "")

    def all(self, administration_id: str | None = None) -> Sequence[Service]:
        """Return the services of an administration, or of all, in order of their codes."""
        table = models.services
        query = select(table).order_by(table.c.administration_id, table.c.service)
        if administration_id is not None:
            query = query.where(table.c.administration_id == administration_id)
        with self._database.reading() as connection:
            return [_service(row) for row in connection.execute(query).mappings()]

    def of(self, actor: Actor) -> Sequence[Purpose] | None:
        """Return the purposes that a caller may name; None where any of the right shape will do."""
        with self._database.reading() as connection:
            return allowed(connection, actor)

    def checked(self, connection: Connection, actor: Actor, purpose: str, words: str = "") -> tuple[str, str]:
        """Return the purpose of a read, and the words said of it besides, fit for the journal.

        Args:
            connection: in a transaction.
            actor: the caller.
            purpose: code; "" for holders and who acts for them, who have a default.
            words: in free words, or "".

        Raises:
            Refused: PURPOSE_REQUIRED for an empty or malformed purpose; PURPOSE_UNKNOWN, it is none of the
                caller's service; FIELD_INVALID for words that are too long or hold control characters.
        """
        said = checked_words(words)
        code = checked_purpose(actor, purpose)
        mine = allowed(connection, actor)
        if mine is not None and code not in {each.code for each in mine}:
            raise Refused("PURPOSE_UNKNOWN", purposes=", ".join(each.code for each in mine) or "-")
        return code, said


def allowed(connection: Connection, actor: Actor) -> Sequence[Purpose] | None:
    """Return the purposes that a caller may name; None where any of the right shape will do.

    Those of the caller's service; else those of the administration as a whole; of an administration that has
    registered other services only, none.
    """
    if actor.role not in _BOUND or actor.administration_id is None:
        return None
    for service in dict.fromkeys((actor.service, "")):
        if (row := _row(connection, actor.administration_id, service)) is not None:
            return _service(row).purposes
    table = models.services
    any_row = select(table.c.service).where(table.c.administration_id == actor.administration_id).limit(1)
    return None if connection.scalar(any_row) is None else ()


def checked_words(words: str) -> str:
    """Return free words composed and trimmed. Raises Refused(FIELD_INVALID)."""
    # Composing sorts the marks of a letter in quadratic time, so a text is not composed before it is short.
    if len(words) > _MAX_DECOMPOSED:
        raise Refused("FIELD_INVALID", f"at most {MAX_WORDS} characters", field="words")
    said = unicodedata.normalize("NFC", words).strip(" ")
    check_text("words", said, MAX_WORDS)
    return said


class ServiceNames:
    """Names of administrations, services and purposes, read once for a page or an export."""

    def __init__(self, connection: Connection) -> None:
        names, table = models.administrations, models.services
        self._administrations: Mapping[str, str] = {
            row.id: row.name for row in connection.execute(select(names.c.id, names.c.name))
        }
        self._services = {
            (row["administration_id"], row["service"]): _service(row)
            for row in connection.execute(select(table)).mappings()
        }

    def administration(self, administration_id: str) -> str:
        """Return the name of an administration, "" for an unknown one."""
        return self._administrations.get(administration_id, "")

    def service(self, administration_id: str, service: str) -> tuple[str, str]:
        """Return the names of a service in French and English, its code where it has none."""
        found = self._services.get((administration_id, service)) if service else None
        return (service, service) if found is None else (found.fr, found.en)

    def purpose(self, administration_id: str, service: str, code: str) -> tuple[str, str]:
        """Return a purpose in French and English words, its code where nobody registered words."""
        for place in dict.fromkeys((service, "")):
            found = self._services.get((administration_id, place))
            for each in found.purposes if found is not None else ():
                if each.code == code:
                    return each.fr, each.en
        return OWN_PURPOSES.get(code, (code, code))


# Purposes that no service registers: of holders, of what they share, and of the service's own operators.
OWN_PURPOSES: Mapping[str, tuple[str, str]] = {
    "consultation": ("Consultation", "Consultation"),
    "support": ("Intervention technique", "Technical support"),
    "acces-aux-donnees": ("Accès à ses propres données", "Access to one's own data"),
    "demonstration": ("Démonstration", "Demonstration"),
    "housing": ("Location d’un logement", "Renting a home"),
    "credit": ("Crédit ou compte bancaire", "Loan or bank account"),
    "employment": ("Emploi", "Employment"),
    "insurance": ("Assurance", "Insurance"),
    "studies": ("Études", "Studies"),
    "other": ("Autre", "Other"),
}


def _check(service: Service) -> None:
    check_code("service", service.id)
    check_text("name_fr", service.fr, _MAX_NAME, required=True)
    check_text("name_en", service.en, _MAX_NAME, required=True)
    if not 0 < len(service.purposes) <= MAX_PURPOSES:
        raise Refused("FIELD_INVALID", f"1 to {MAX_PURPOSES} purposes", field="purposes")
    if len({each.code for each in service.purposes}) != len(service.purposes):
        raise Refused("FIELD_INVALID", "a purpose stands twice", field="purposes")
    for each in service.purposes:
        check_code("purposes.code", each.code, required=True)
        check_text("purposes.fr", each.fr, _MAX_NAME, required=True)
        check_text("purposes.en", each.en, _MAX_NAME, required=True)


def _digest(service: Service) -> str:
    return hashlib.sha256(f"{service.administration_id}\n{service.id}".encode()).hexdigest()[:40]


def _row(connection: Connection, administration_id: str, service: str) -> RowMapping | None:
    table = models.services
    query = select(table).where(table.c.administration_id == administration_id, table.c.service == service)
    return connection.execute(query).mappings().first()


def _service(row: RowMapping) -> Service:
    purposes = tuple(Purpose(each["code"], each["fr"], each["en"]) for each in json.loads(row["purposes"]))
    return Service(row["administration_id"], row["service"], row["name_fr"], row["name_en"], purposes)
