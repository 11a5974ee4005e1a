"""What a safe and its holder are beside documents, file by file, for the archive of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Connection, Table, select

from vault.access import Action
from vault.authorization.purposes import ServiceNames
from vault.clock import rfc3339
from vault.core.keyring import Keyring
from vault.db import models
from vault.db.contacts import ContactRows
from vault.db.engine import Database
from vault.db.matters import MatterRows
from vault.db.repositories import Safes
from vault.domain.matters import Matter, MatterKind
from vault.errors import VaultError
from vault.ledger.entry import decode
from vault.people.account_rows import AccountRows
from vault.people.sessions import Sessions
from vault.rights.everything import Writing
from vault.rights.journal_exports import COLUMNS, csv_page, record
from vault.rights.journal_lines import Filters, JournalLines
from vault.sealing.papers import Papers

_PAGE = 100
_LINES = 200  # read at once
_FILE_LINES = 10_000  # in one file of the journal: about 6 MiB of JSON
# What a holder may see of each kind of matter by which action; a kind that is not here is nobody's to take away.
FOLDERS: Mapping[MatterKind, tuple[str, Action]] = {
    MatterKind.CONSENT: ("consentements", Action.CONSENT_SEE),
    MatterKind.REQUEST: ("demandes", Action.REQUEST_SEE),
    MatterKind.STATEMENT: ("attestations", Action.STATEMENT_SEE),
    MatterKind.SHARE: ("partages", Action.SHARE_SEE),
    MatterKind.MANDATE: ("mandats", Action.MANDATE_SEE),
    MatterKind.CASE: ("demarches", Action.CASE_SEE),
    MatterKind.REPORT: ("signalements", Action.REPORT_SEE),
    MatterKind.NOTE: ("notes", Action.NOTE_SEE),
    MatterKind.CLOSURE: ("clotures", Action.CLOSURE_SEE),
    MatterKind.EXPORT: ("exports", Action.EXPORT),
}
# Kept for the service's own working: the key of the tags, and what a share's second secret is compared with.
HIDDEN = frozenset({"tag_key", "salt", "secret"})
# Rows about a safe that are nobody else's and not sealed; of each, every column but these.
_NOT_SHOWN = frozenset({"token_ix", "safe_id"})


class RecordMembers:
    """Writes everything but documents into an archive."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        rows: MatterRows,
        lines: JournalLines,
        papers: Papers,
        sessions: Sessions,
    ) -> None:
        """Take what it works with.

        Args:
            database: of the safe.
            keyring: opens keys.
            rows: finds matters.
            lines: reads the journal.
            papers: reads sealed papers.
            sessions: finds a person's sessions.
        """
        self._database = database
        self._safes = Safes(keyring)
        self._accounts = AccountRows(keyring)
        self._contacts = ContactRows(keyring)
        self._rows = rows
        self._lines = lines
        self._papers = papers
        self._sessions = sessions

    def write(self, writing: Writing, safe_id: str) -> Iterator[bytes]:
        """Add the safe, its holder's account and contacts, its matters and its journal."""
        yield from self._safe(writing, safe_id)
        yield from self._account(writing, safe_id)
        yield from self._notices(writing, safe_id)
        for kind, (folder, _) in FOLDERS.items():
            yield from self._matters(writing, safe_id, kind, folder)
        yield from self._journal(writing, safe_id)

    def _safe(self, writing: Writing, safe_id: str) -> Iterator[bytes]:
        table = models.safes
        with self._database.reading() as connection:
            safe = self._safes.load(connection, safe_id)
            opened = connection.scalar(select(table.c.created_at).where(table.c.id == safe_id))
            names = self._safes.administration_names(connection)
            held = () if safe is None else self._rows.naming(connection, safe.holder, MatterKind.MANDATE)
        said = {} if safe is None else asdict(safe)
        yield from writing.json("coffre.json", {**said, "opened_at": opened, "administrations": dict(names)})
        if held:
            yield from writing.json("mandats/mandats-recus.json", [_matter(each) for each in held])

    def _account(self, writing: Writing, safe_id: str) -> Iterator[bytes]:
        with self._database.reading() as connection:
            account_id = self._accounts.of_safe(connection, safe_id)
            account = None if account_id is None else self._accounts.load(connection, account_id)
            linked = [] if account is None else self._accounts.identities(connection, account)
        if account is None:
            yield from writing.json("compte.json", None)
            return
        said = {
            "id": account.id,
            "holder": account.holder,
            "name": account.name,
            "email": account.email,
            "identities": [{**asdict(each), "linked_at": rfc3339(each.linked_at)} for each in linked],
            "sessions": [
                {
                    "provider": each.provider,
                    "began_at": rfc3339(each.created_at),
                    "seen_at": rfc3339(each.seen_at),
                    "ends_at": rfc3339(each.ends_at),
                    "device": each.device,
                    "assurance": None if each.actor.assurance is None else each.actor.assurance.name.lower(),
                }
                for each in self._sessions.of_account(account.id)
            ],
        }
        yield from writing.json("compte.json", said)

    def _notices(self, writing: Writing, safe_id: str) -> Iterator[bytes]:
        with self._database.reading() as connection:
            contacts = self._contacts.of_safe(connection, safe_id)
            choices = self._contacts.choices(connection, safe_id)
            said = {
                "contacts": [
                    {
                        "channel": each.channel.value,
                        "address": each.address,
                        "state": each.state.value,
                        "created_at": rfc3339(each.created_at),
                        "confirmed_at": None if each.confirmed_at is None else rfc3339(each.confirmed_at),
                    }
                    for each in contacts
                ],
                "language": choices.language,
                "choices": {
                    event.value: {
                        "when": choice.when.value,
                        "channels": sorted(channel.value for channel in choice.channels),
                    }
                    for event, choice in choices.events.items()
                },
                "sent": _plain(connection, models.deliveries, safe_id),
                "for_the_next_digest": _plain(connection, models.digest_items, safe_id),
                "reminders": _plain(connection, models.reminders, safe_id),
            }
        yield from writing.json("contacts.json", said)

    def _matters(self, writing: Writing, safe_id: str, kind: MatterKind, folder: str) -> Iterator[bytes]:
        before: int | None = None
        while True:
            with self._database.reading() as connection:
                page = self._rows.find(connection, kind, safe_id=safe_id, before=before, limit=_PAGE)
                told = [{**_matter(each), "entries": self._entries(connection, each)} for each in page]
            for matter, said in zip(page, told, strict=True):
                yield from writing.json(f"{folder}/{matter.id}.json", said)
                yield from self._sealed(writing, matter, folder)
            if len(page) < _PAGE:
                return
            before = page[-1].first_seq

    def _entries(self, connection: Connection, matter: Matter) -> list[Mapping[str, Any]]:
        return [
            {"entry": each.seq, "event": each.event, "time": decode(each.body).time}
            for each in self._rows.entries(connection, matter.id)
        ]

    def _sealed(self, writing: Writing, matter: Matter, folder: str) -> Iterator[bytes]:
        with self._database.reading() as connection:
            key = self._rows.key(connection, matter.id)
            papers = self._rows.papers(connection, key)
        for name, paper in papers.items():
            place = f"{folder}/{matter.id}-{name}.asice"
            try:
                content = self._papers.read(key, paper)
            except VaultError as error:
                if error.code != "ORIGINAL_DAMAGED":
                    raise
                yield from writing.lacking(place, error.code)
            else:
                # Bound now: the loop goes on before anybody could ask for another pass.
                yield from writing.fetched(place, lambda held=content: lambda: iter((held,)))  # type: ignore[misc]

    def _journal(self, writing: Writing, safe_id: str) -> Iterator[bytes]:
        number, before, more = 1, None, True
        while more:
            lines: list[bytes] = []
            cells = [csv_page(None)]
            while more and len(lines) < _FILE_LINES:
                with self._database.reading() as connection:
                    names = ServiceNames(connection)
                    page = self._lines.page(connection, safe_id, Filters(before=before), _LINES)
                records = [record(line, names) for line in page]
                lines += [orjson.dumps({name: each[name] for name in COLUMNS}) for each in records]
                cells.append(csv_page(records))
                more = len(page) == _LINES
                before = page[-1].seq if page else before
            yield from writing.archive.text(
                f"journal/journal-{number}.json", b"[\n" + b",\n".join(lines) + b"\n]\n"
            )
            yield from writing.archive.text(f"journal/journal-{number}.csv", b"".join(cells))
            number += 1


def _matter(matter: Matter) -> dict[str, Any]:
    return {
        "id": matter.id,
        "kind": matter.kind.value,
        "administration": matter.administration_id,
        "document": matter.document_id,
        "parent": matter.parent_id,
        "state": matter.state,
        "created_at": rfc3339(matter.created_at),
        "ends_at": None if matter.ends_at is None else rfc3339(matter.ends_at),
        "said": {name: value for name, value in matter.private.items() if name not in HIDDEN},
    }


def _plain(connection: Connection, table: Table, safe_id: str) -> list[Mapping[str, Any]]:
    columns = [column for column in table.c if column.name not in _NOT_SHOWN]
    rows = connection.execute(select(*columns).where(table.c.safe_id == safe_id)).mappings()
    return [{str(name): value for name, value in row.items()} for row in rows]
