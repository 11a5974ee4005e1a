"""Reads the tables of people into values, and writes an account's recovery record from its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, func, select

from storage.errors import KeyRefused, ObjectDamaged
from vault.clock import parse_rfc3339
from vault.core import faults
from vault.core.keyring import DocumentKey, Keyring
from vault.db.account_tables import account_identities, accounts
from vault.db.repositories import PRIVATE_ROLE
from vault.errors import LedgerError
from vault.records.book import RecordBook
from vault.records.changes import Change


@dataclass(frozen=True, slots=True)
class Account:
    """A person who logs in.

    Attributes:
        id: `acc_…`.
        safe_id: the person's own safe; None for agents and others without one.
        holder: identifier under which the person stands in the journal and, for holders, under which
            administrations reach the safe; personal data.
        name: as the identity that opened the account says; personal data.
        email: as that identity says, or ""; personal data.
        key: the account's key.
    """

    id: str
    safe_id: str | None
    holder: str = field(repr=False)
    name: str = field(repr=False)
    email: str = field(repr=False)
    key: DocumentKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """A digital identity that leads to an account.

    Attributes:
        id: `idn_…`.
        provider: short name of the provider.
        name: as given there; personal data.
        email: as given there, or ""; personal data.
        linked_at: when it was first used or linked, UTC.
    """

    id: str
    provider: str
    name: str = field(repr=False)
    email: str = field(repr=False)
    linked_at: datetime


def identity_role(identity_id: str) -> str:
    """Name under which an identity's private part is encrypted."""
    return f"identity-{identity_id}"


def open_sealed(key: DocumentKey, role: str, sealed: bytes) -> Mapping[str, Any]:
    """Return what was sealed under an account's key. Raises LedgerError(ROW_DAMAGED): another row's value."""
    try:
        opened: dict[str, Any] = orjson.loads(key.open(role, sealed))
    except ObjectDamaged as error:
        raise LedgerError("ROW_DAMAGED", f"{key.document_id}: a row does not open with its key") from error
    return opened


class AccountRows:
    """Finds accounts and their identities."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def identity_index(self, issuer: str, subject: str) -> bytes:
        """Return the keyed digest that stands for a person at a provider."""
        return self._keyring.index("identity", issuer, subject)

    def load(self, connection: Connection, account_id: str) -> Account | None:
        """Return an account, its private part opened, or None. Raises LedgerError(ROW_DAMAGED)."""
        row = connection.execute(select(accounts).where(accounts.c.id == account_id)).mappings().first()
        return None if row is None else self._account(row)

    def of_identity(self, connection: Connection, identity_ix: bytes) -> RowMapping | None:
        """Return the row of an identity, or None."""
        query = select(account_identities).where(account_identities.c.identity_ix == identity_ix)
        return connection.execute(query).mappings().first()

    def of_safe(self, connection: Connection, safe_id: str) -> str | None:
        """Return the account that a safe belongs to, or None where nobody has logged in to it yet."""
        return connection.scalar(select(accounts.c.id).where(accounts.c.safe_id == safe_id))

    def identities(self, connection: Connection, account: Account) -> list[LinkedIdentity]:
        """Return an account's identities, oldest first."""
        table = account_identities
        query = select(table).where(table.c.account_id == account.id).order_by(table.c.linked_at, table.c.id)
        found = []
        for row in connection.execute(query).mappings():
            raw = open_sealed(account.key, identity_role(row["id"]), row["sealed"])
            linked_at = parse_rfc3339(row["linked_at"])
            found.append(LinkedIdentity(row["id"], row["provider"], raw["name"], raw["email"], linked_at))
        return found

    def count_identities(self, connection: Connection, account_id: str) -> int:
        """Return how many identities lead to an account."""
        table = account_identities
        query = select(func.count()).select_from(table).where(table.c.account_id == account_id)
        return connection.scalar(query) or 0

    @staticmethod
    def record(connection: Connection, records: RecordBook, account_id: str) -> None:
        """Write an account's recovery record anew from its rows, before the caller's transaction commits.

        One change for the account and one for each identity: recovery may write some where others are taken.

        Raises:
            storage.errors.StorageUnavailable: it cannot be written; the transaction must not commit.
        """
        account = connection.execute(select(accounts).where(accounts.c.id == account_id)).mappings().one()
        table = account_identities
        query = select(table).where(table.c.account_id == account_id).order_by(table.c.linked_at, table.c.id)
        rows = [("accounts", account)]
        rows += [("account_identities", row) for row in connection.execute(query).mappings()]
        changes = [Change(account_id, b"", b"", inserts=((name, _plain(row)),)) for name, row in rows]
        records.write(account_id, [change.encode() for change in changes])
        faults.point("accounts.recorded")

    def _account(self, row: RowMapping) -> Account:
        try:
            key = self._keyring.open_key(row["id"], row["wrapped_key"])
        except KeyRefused as error:
            raise LedgerError("ROW_DAMAGED", f"{row['id']}: its row does not open with its key") from error
        raw = open_sealed(key, PRIVATE_ROLE, row["sealed"])
        return Account(row["id"], row["safe_id"], raw["holder"], raw["name"], raw["email"], key)


def private_of_account(name: str, email: str, holder: str) -> bytes:
    """Write an account's private part for encryption."""
    return orjson.dumps({"name": name, "email": email, "holder": holder}, option=orjson.OPT_SORT_KEYS)


def private_of_identity(name: str, email: str) -> bytes:
    """Write an identity's private part for encryption."""
    return orjson.dumps({"name": name, "email": email}, option=orjson.OPT_SORT_KEYS)


def _plain(row: RowMapping) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}
