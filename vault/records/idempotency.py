"""The same request sent twice gives the same document, never a second one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import Connection

from vault.core.keyring import Keyring
from vault.db.bulk import rows_of
from vault.db.driver import Driver, driver_of
from vault.db.twins import TwinGuard
from vault.domain.actors import Actor
from vault.domain.documents import Outcome
from vault.errors import Conflict, Refused
from vault.ledger.group import LedgerTransaction

_MAX_KEY = 255
_ANSWERS = "SELECT scope_ix, request_ix, document_id, status_code, seq FROM idempotency WHERE scope_ix IN "
_Answer = tuple[bytes, str, int, int]


def answers(driver: Driver, scopes: Sequence[bytes]) -> Mapping[bytes, _Answer | None]:
    """Return what was answered in each scope, None where nothing was: a question of `vault.ledger.asking`."""
    found = {scope: (request, *answer) for scope, request, *answer in rows_of(driver, _ANSWERS, scopes)}
    return {scope: found.get(scope) for scope in scopes}


class Idempotency:
    """Keys scoped to caller and route; the answer is stored in the transaction that makes it true."""

    def __init__(self, keyring: Keyring, guard: TwinGuard) -> None:
        self._keyring = keyring
        self._guard = guard

    def scope(self, actor: Actor, route: str, key: str) -> bytes:
        """Return the keyed digest of caller, route and key. Raises Refused for an absent or odd key."""
        if not key:
            raise Refused("IDEMPOTENCY_KEY_REQUIRED")
        if len(key) > _MAX_KEY or not all("!" <= character <= "~" for character in key):
            raise Refused("IDEMPOTENCY_KEY_INVALID", limit=_MAX_KEY)
        return self._keyring.index("idempotency", actor.role.value, actor.id, route, key)

    def request(self, description: Mapping[str, Any], sha256: bytes) -> bytes:
        """Return the keyed digest of what was asked, body included."""
        return self._keyring.index("request", orjson.dumps(description, option=orjson.OPT_SORT_KEYS), sha256)

    @contextmanager
    def alone(self, scope: bytes) -> Iterator[None]:
        """Keep twins of this request out while it runs. Raises Conflict(TWIN_RUNNING)."""
        with self._guard.hold(scope) as free:
            if not free:
                raise Conflict("TWIN_RUNNING")
            yield

    @staticmethod
    def earlier(connection: Connection, scope: bytes, request: bytes) -> Outcome | None:
        """Return the first answer to this request, or None.

        Raises:
            Conflict: IDEMPOTENCY_KEY_REUSED, the key belongs to another request of the same caller.
        """
        return Idempotency.earlier_of(connection, (scope,))(scope, request)

    @staticmethod
    def earlier_of(
        connection: Connection, scopes: Sequence[bytes]
    ) -> Callable[[bytes, bytes], Outcome | None]:
        """Ask once what was answered in some scopes; return what tells it of a request, or raises as `earlier`."""
        found = answers(driver_of(connection), scopes)
        return lambda scope, request: _outcome(found[scope], request)

    @staticmethod
    def earlier_here(tx: LedgerTransaction, scope: bytes, request: bytes) -> Outcome | None:
        """Return the same within a work, which writes the answer if there is none yet. Raises as `earlier`."""
        found = _outcome(tx.ask(answers, scope), request)
        tx.forget(answers, scope)
        return found


def _outcome(answer: _Answer | None, request: bytes) -> Outcome | None:
    if answer is None:
        return None
    asked, document_id, status_code, seq = answer
    if asked != request:
        raise Conflict("IDEMPOTENCY_KEY_REUSED")
    return Outcome(document_id, status_code, seq, replayed=True)
