"""The same request sent twice gives the same document, never a second one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from sqlalchemy import Connection, select

from vault.db import models
from vault.db.twins import TwinGuard
from vault.domain.actors import Actor
from vault.domain.documents import Outcome
from vault.errors import Conflict, Refused
from vault.keyring import Keyring

_MAX_KEY = 255


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
        table = models.idempotency
        row = connection.execute(select(table).where(table.c.scope_ix == scope)).mappings().first()
        if row is None:
            return None
        if row["request_ix"] != request:
            raise Conflict("IDEMPOTENCY_KEY_REUSED")
        return Outcome(row["document_id"], row["status_code"], row["seq"], replayed=True)
