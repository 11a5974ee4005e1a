"""Accounts: who a proven digital identity is here, in what quality, and which identities lead to one person.

A provider says who somebody is; what counts of that here is what its configuration maps and nothing else: a claim
outside the map cannot make an agent of a citizen. Two accounts become one with proof of both, in one session.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from identity.base import ProvenIdentity, ProviderConfig
from vault.clock import Clock, rfc3339
from vault.core.keyring import Keyring
from vault.db.account_tables import account_identities, accounts, sessions
from vault.db.base import metadata
from vault.db.engine import Database
from vault.db.repositories import PRIVATE_ROLE, Safes
from vault.domain.actors import Role
from vault.errors import Conflict, Forbidden, NotFound, Unauthenticated
from vault.ids import new_id
from vault.people.account_rows import (
    Account,
    AccountRows,
    LinkedIdentity,
    identity_role,
    open_sealed,
    private_of_account,
    private_of_identity,
)
from vault.people.qualities import Quality, quality_of
from vault.people.safe_opening import open_safe_within
from vault.records.book import RecordBook

_HOLDER = re.compile(r"[!-~]{1,128}")
_OWN = frozenset({"accounts", "account_identities", "sessions"})
# What a person chose for a safe, which ends with it; anything else that names a safe is worth keeping it for.
_CHOICES = ("notice_contacts", "notice_choices")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An account with the quality of this login.

    Attributes:
        account: whose it is.
        quality: what the provider grants.
        identity_ix: the identity logged in with.
    """

    account: Account
    quality: Quality
    identity_ix: bytes


class Accounts:
    """Opens accounts, links identities to them, and takes links away."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        records: RecordBook,
        clock: Clock,
        providers: Mapping[str, ProviderConfig],
    ) -> None:
        """Keep what it works on.

        Args:
            database: the rows.
            keyring: keys and keyed digests.
            records: recovery records; accounts and identities must survive the database.
            clock: the service's clock.
            providers: configuration of each provider by name.
        """
        self._database = database
        self._keyring = keyring
        self._records = records
        self._clock = clock
        self._providers = providers
        self._rows = AccountRows(keyring)
        self._safes = Safes(keyring)

    def sign_in(self, proven: ProvenIdentity) -> SignedIn:
        """Return the account that a proven identity leads to, opened if there is none.

        Raises:
            Forbidden: LOGIN_ROLE_REFUSED.
            Conflict: LINK_NEEDED: the person has an account already, which another identity leads to.
            LedgerError: ROW_DAMAGED.
            storage.errors.StorageUnavailable: the recovery record cannot be written.
        """
        quality = self._quality(proven)
        identity_ix = self._rows.identity_index(proven.issuer, proven.subject)
        with self._database.reading() as connection:
            self._demand_administration(connection, quality)
            account = self._known(connection, identity_ix)
            settled = account is not None and self._is_settled(
                connection, account, identity_ix, proven, quality
            )
        if account is None or not settled:
            with self._database.writing() as connection:
                account = self._open(connection, identity_ix, proven, quality)
        return SignedIn(account, quality, identity_ix)

    def demand_same(self, account_id: str, proven: ProvenIdentity) -> SignedIn:
        """Return the account if this identity leads to it already.

        Raises:
            Unauthenticated: OTHER_PERSON: the identity is another one's, or nobody's here.
            Forbidden: LOGIN_ROLE_REFUSED.
        """
        quality = self._quality(proven)
        identity_ix = self._rows.identity_index(proven.issuer, proven.subject)
        with self._database.reading() as connection:
            self._demand_administration(connection, quality)
            account = self._known(connection, identity_ix)
        if account is None or account.id != account_id:
            raise Unauthenticated("OTHER_PERSON")
        return SignedIn(account, quality, identity_ix)

    def get(self, account_id: str) -> Account:
        """Return an account. Raises NotFound."""
        with self._database.reading() as connection:
            return self._get(connection, account_id)

    def identities(self, account_id: str) -> list[LinkedIdentity]:
        """Return the identities that lead to an account, oldest first. Raises NotFound."""
        with self._database.reading() as connection:
            return self._rows.identities(connection, self._get(connection, account_id))

    def link(self, account_id: str, proven: ProvenIdentity) -> None:
        """Let a second proven identity lead to an account; the caller has proof of the first.

        An account that the second identity led to ends when nothing else leads to it, if nothing lies in its safe.

        Raises:
            NotFound: no such account.
            Conflict: ACCOUNT_NOT_EMPTY: the other account's safe holds something, or others rest on it.
            Forbidden: LOGIN_ROLE_REFUSED.
            storage.errors.StorageUnavailable: the recovery record cannot be written.
        """
        quality = self._quality(proven)
        identity_ix = self._rows.identity_index(proven.issuer, proven.subject)
        dropped: list[str] = []
        with self._database.writing() as connection:
            account = self._get(connection, account_id)
            row = self._rows.of_identity(connection, identity_ix)
            if row is not None and row["account_id"] == account_id:
                return
            if row is not None:
                dropped += self._leave(connection, account, row["account_id"], identity_ix)
            holder = _said_holder(proven, quality)
            if holder and (safe_id := self._safes.of_holder(connection, holder)) is not None:
                dropped += self._merge_safe(connection, account, safe_id)
            self._insert_identity(connection, account, identity_ix, proven, holder)
            self._rows.record(connection, self._records, account_id)
        # After the commit: what a crash leaves of them, the next start sweeps.
        for name in dropped:
            self._records.delete(name)

    def unlink(self, account_id: str, identity_id: str) -> None:
        """Take an identity away from an account, with the sessions it opened.

        Raises:
            NotFound: no such account or identity of it.
            Conflict: LAST_IDENTITY: nothing else leads to the account.
            storage.errors.StorageUnavailable: the recovery record cannot be written.
        """
        table = account_identities
        with self._database.writing() as connection:
            self._get(connection, account_id)
            query = select(table.c.identity_ix).where(
                table.c.id == identity_id, table.c.account_id == account_id
            )
            identity_ix = connection.scalar(query)
            if identity_ix is None:
                raise NotFound("NOT_FOUND")
            if self._rows.count_identities(connection, account_id) < 2:
                raise Conflict("LAST_IDENTITY")
            connection.execute(delete(sessions).where(sessions.c.subject_ix == identity_ix))
            connection.execute(delete(table).where(table.c.identity_ix == identity_ix))
            self._rows.record(connection, self._records, account_id)

    def _quality(self, proven: ProvenIdentity) -> Quality:
        config = self._providers.get(proven.provider)
        if config is None:
            raise Forbidden("LOGIN_ROLE_REFUSED")
        return quality_of(config, proven.attributes, proven.subject)

    def _demand_administration(self, connection: Connection, quality: Quality) -> None:
        name = quality.administration_id
        if name is not None and self._safes.administration(connection, name) is None:
            raise Forbidden("LOGIN_ROLE_REFUSED")

    def _get(self, connection: Connection, account_id: str) -> Account:
        account = self._rows.load(connection, account_id)
        if account is None:
            raise NotFound("NOT_FOUND")
        return account

    def _known(self, connection: Connection, identity_ix: bytes) -> Account | None:
        row = self._rows.of_identity(connection, identity_ix)
        return None if row is None else self._rows.load(connection, row["account_id"])

    def _is_settled(
        self,
        connection: Connection,
        account: Account,
        identity_ix: bytes,
        proven: ProvenIdentity,
        quality: Quality,
    ) -> bool:
        """Tell whether nothing about a known person has to be written."""
        row = self._rows.of_identity(connection, identity_ix)
        if row is None or (quality.role is Role.HOLDER and account.safe_id is None):
            return False
        raw = open_sealed(account.key, identity_role(row["id"]), row["sealed"])
        return bool(raw["name"] == proven.name and raw["email"] == proven.email)

    def _open(
        self, connection: Connection, identity_ix: bytes, proven: ProvenIdentity, quality: Quality
    ) -> Account:
        """Open the account, or write what changed about it, in a write transaction."""
        account = self._known(connection, identity_ix)
        if account is None:
            holder = _said_holder(proven, quality)
            account = self._new(connection, proven, holder)
            self._insert_identity(connection, account, identity_ix, proven, holder)
        else:
            self._rename(connection, account, identity_ix, proven)
        if quality.role is Role.HOLDER and account.safe_id is None:
            self._give_safe(connection, account, proven)
        self._rows.record(connection, self._records, account.id)
        return self._get(connection, account.id)

    def _new(self, connection: Connection, proven: ProvenIdentity, holder: str) -> Account:
        account_id = new_id("acc")
        key = self._keyring.new_key(account_id)
        holder = holder or account_id
        row = {
            "id": account_id,
            "safe_id": None,
            "wrapped_key": key.wrapped,
            "sealed": key.seal(PRIVATE_ROLE, private_of_account(proven.name, proven.email, holder)),
            "created_at": rfc3339(self._clock.now()),
        }
        connection.execute(insert(accounts), row)
        return Account(account_id, None, holder, proven.name, proven.email, key)

    def _give_safe(self, connection: Connection, account: Account, proven: ProvenIdentity) -> None:
        """Give a holder the safe that waits under the identifier, or a new one."""
        now = rfc3339(self._clock.now())
        safe_id = open_safe_within(
            connection, self._records, self._safes, account.holder, proven.name or account.holder, now
        )
        if self._rows.of_safe(connection, safe_id) is not None:
            # Two providers name one person: only proof of both makes one account of it.
            raise Conflict("LINK_NEEDED")
        connection.execute(update(accounts).where(accounts.c.id == account.id).values(safe_id=safe_id))

    def _rename(
        self, connection: Connection, account: Account, identity_ix: bytes, proven: ProvenIdentity
    ) -> None:
        """Write a name or address that the provider changed; the account has those of its oldest identity."""
        row = self._rows.of_identity(connection, identity_ix)
        if row is None:
            return
        sealed = account.key.seal(identity_role(row["id"]), private_of_identity(proven.name, proven.email))
        table = account_identities
        connection.execute(update(table).where(table.c.identity_ix == identity_ix).values(sealed=sealed))
        if self._rows.identities(connection, account)[0].id == row["id"]:
            private = private_of_account(proven.name, proven.email, account.holder)
            values = {"sealed": account.key.seal(PRIVATE_ROLE, private)}
            connection.execute(update(accounts).where(accounts.c.id == account.id).values(values))

    def _insert_identity(
        self,
        connection: Connection,
        account: Account,
        identity_ix: bytes,
        proven: ProvenIdentity,
        holder: str,
    ) -> None:
        identity_id = new_id("idn")
        row = {
            "identity_ix": identity_ix,
            "id": identity_id,
            "account_id": account.id,
            "provider": proven.provider,
            "holder_ix": self._safes.holder_index(holder) if holder else None,
            "sealed": account.key.seal(
                identity_role(identity_id), private_of_identity(proven.name, proven.email)
            ),
            "linked_at": rfc3339(self._clock.now()),
        }
        connection.execute(insert(account_identities), row)

    def _leave(
        self, connection: Connection, account: Account, other_id: str, identity_ix: bytes
    ) -> list[str]:
        """Take an identity from the account it led to, which ends if it was the last; return dead records."""
        other = self._get(connection, other_id)
        table = account_identities
        connection.execute(delete(sessions).where(sessions.c.subject_ix == identity_ix))
        connection.execute(delete(table).where(table.c.identity_ix == identity_ix))
        if self._rows.count_identities(connection, other_id):
            if other.safe_id is not None:
                raise Conflict("ACCOUNT_NOT_EMPTY")
            self._rows.record(connection, self._records, other_id)
            return []
        if _something_rests_on(connection, "accounts", other_id):
            raise Conflict("ACCOUNT_NOT_EMPTY")
        connection.execute(delete(accounts).where(accounts.c.id == other_id))
        if other.safe_id is None:
            return [other_id]
        return [other_id, *self._merge_safe(connection, account, other.safe_id)]

    def _merge_safe(self, connection: Connection, account: Account, safe_id: str) -> list[str]:
        """Let an account take a safe that nobody else has, or drop it if it is empty; return dead records.

        An account has one safe: two that both hold something stay two, and the person is told.
        """
        own = connection.scalar(select(accounts.c.safe_id).where(accounts.c.id == account.id))
        if own == safe_id:
            return []
        if self._rows.of_safe(connection, safe_id) is not None:
            raise Conflict("ACCOUNT_NOT_EMPTY")
        if own is None:
            self._adopt(connection, account, safe_id)
            return []
        if _something_rests_on(connection, "safes", safe_id):
            raise Conflict("ACCOUNT_NOT_EMPTY")
        for name in _CHOICES:
            table = metadata.tables[name]
            connection.execute(delete(table).where(table.c.safe_id == safe_id))
        safes = metadata.tables["safes"]
        connection.execute(delete(safes).where(safes.c.id == safe_id))
        return [safe_id]

    def _adopt(self, connection: Connection, account: Account, safe_id: str) -> None:
        """Give an account without safe one that has no account; its holder's identifier is the account's then."""
        safe = self._safes.load(connection, safe_id)
        if safe is None:
            raise NotFound("NOT_FOUND")
        private = private_of_account(account.name, account.email, safe.holder)
        values = {"safe_id": safe_id, "sealed": account.key.seal(PRIVATE_ROLE, private)}
        connection.execute(update(accounts).where(accounts.c.id == account.id).values(values))


def _said_holder(proven: ProvenIdentity, quality: Quality) -> str:
    """Return the holder's identifier that a provider of holders gives, or "" when it gives none that could be one."""
    said = proven.attributes.get("holder", "")
    return said if quality.role is Role.HOLDER and _HOLDER.fullmatch(said) else ""


def _something_rests_on(connection: Connection, target: str, value: str) -> bool:
    """Tell whether a row of any table, but those of accounts themselves, names this safe or account."""
    for table in metadata.tables.values():
        if table.name in _OWN or table.name in _CHOICES:
            continue
        for key in table.foreign_keys:
            if key.column.table.name == target:
                column = key.parent
                if connection.execute(select(column).where(column == value).limit(1)).first() is not None:
                    return True
    return False
