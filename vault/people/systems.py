"""Systems as callers: access tokens for proofs of who they are (RFC 6749 section 4.4), and who bears a token.

A token is 256 random bits, counts for ten minutes, and stands in the database only as a keyed digest. Where the
system showed a client certificate, the token counts with that certificate alone (RFC 8705 section 3).
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import IntegrityError

from vault.clock import Clock, rfc3339
from vault.core.keyring import Keyring
from vault.db.engine import Database
from vault.db.system_tables import system_tokens, used_assertions
from vault.domain.actors import Actor, Role
from vault.domain.systems import Grant, System
from vault.errors import Refused, Unauthenticated
from vault.people.assertions import Assertion, check, read
from vault.people.system_registry import load_system

LIFETIME = timedelta(minutes=10)
# Tells a system's token from others before any look-up, and leaked ones from other texts.
TOKEN_PREFIX = "pst_"  # noqa: S105 - says what a token is, and is none
_TOKEN_OCTETS = 32
_MAX_SCOPE = 1024
# Asked with every request of a system, so by the driver itself.
_BEARER = (
    "SELECT s.client_id, s.name, s.administration_id, s.service, s.scopes, t.scopes, t.certificate"
    " FROM system_tokens t JOIN systems s ON s.client_id = t.client_id"
    " WHERE t.token_ix = ? AND t.ends_at > ? AND s.ended_at IS NULL"
)
_log = logging.getLogger("probans.systems")


class Systems:
    """Gives tokens to systems, and tells who bears one."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock

    def by_assertion(
        self,
        text: str,
        audiences: Collection[str],
        scope: str = "",
        client_id: str | None = None,
        certificate: bytes | None = None,
    ) -> Grant:
        """Give a token for an assertion (RFC 7523, private_key_jwt). The assertion is then used up.

        Args:
            text: the JWT.
            audiences: addresses of this service that it may name.
            scope: scopes asked for, separated by spaces; all that it was registered for when "".
            client_id: who the request says it is from, which must agree; None when it does not say.
            certificate: SHA-256 of the client certificate of the connection; where it is one of the system's own,
                the token counts with it alone.

        Raises:
            Unauthenticated: CLIENT_REFUSED for whatever is wrong with the proof, an unknown or ended client included.
            Refused: SCOPE_REFUSED, it was not registered for all of them.
            Unavailable: DATABASE_UNAVAILABLE.
        """
        with _noted():
            found = read(text)
            system = self._active(found.client_id)
            assertion = check(found, system.keys if system else None, audiences, self._clock.now())
            if client_id not in {None, assertion.client_id}:
                raise Unauthenticated("CLIENT_REFUSED", "client_id of another")
            own = certificate is not None and system is not None and _is_own(system, certificate)
            return self._grant(assertion.client_id, scope, certificate if own else None, assertion)

    def by_certificate(self, client_id: str, certificate: bytes, scope: str = "") -> Grant:
        """Give a token for the client certificate of the connection (RFC 8705 section 2.2), bound to it.

        Args:
            client_id: who the request says it is from.
            certificate: SHA-256 of the certificate, from a proxy that is trusted.
            scope: as in `by_assertion`.

        Raises:
            Unauthenticated: CLIENT_REFUSED.
            Refused: SCOPE_REFUSED.
            Unavailable: DATABASE_UNAVAILABLE.
        """
        with _noted():
            system = self._active(client_id)
            if system is None or not _is_own(system, certificate):
                raise Unauthenticated("CLIENT_REFUSED", "certificate")
            return self._grant(client_id, scope, certificate, None)

    def authenticate(self, token: str, certificate: bytes | None = None) -> Actor | None:
        """Return the system that bears a token, or None: unknown, ended, or shown without its certificate.

        Args:
            token: the bearer token.
            certificate: SHA-256 of the client certificate of the connection, None without.

        Raises:
            Unavailable: DATABASE_UNAVAILABLE.
        """
        asked = (self._token_index(token), rfc3339(self._clock.now()))
        rows = self._database.rows(_BEARER, asked)
        if not rows:
            return None
        client_id, name, administration_id, service, scopes, granted, bound = rows[0]
        if bound is not None and not hmac.compare_digest(bound, certificate or b""):
            return None
        return Actor(
            id=client_id,
            role=Role.SYSTEM,
            name=name,
            administration_id=administration_id,
            service=service,
            scopes=frozenset(granted.split()) & frozenset(scopes.split()),
        )

    def _active(self, client_id: str) -> System | None:
        with self._database.reading() as connection:
            system = load_system(connection, client_id)
        return system if system is not None and system.ended_at is None else None

    def _grant(
        self, client_id: str, scope: str, certificate: bytes | None, assertion: Assertion | None
    ) -> Grant:
        token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_OCTETS)
        now = self._clock.now()
        try:
            with self._database.writing() as connection:
                system = load_system(connection, client_id)
                if system is None or system.ended_at is not None:
                    raise Unauthenticated("CLIENT_REFUSED", "ended meanwhile")
                scopes = _asked(scope, system)
                self._forget(connection, rfc3339(now))
                if assertion is not None:
                    self._use_up(connection, assertion)
                row = {
                    "token_ix": self._token_index(token),
                    "client_id": client_id,
                    "scopes": " ".join(scopes),
                    "ends_at": rfc3339(now + LIFETIME),
                    "certificate": certificate,
                }
                connection.execute(insert(system_tokens), row)
        except IntegrityError as error:
            raise Unauthenticated("CLIENT_REFUSED", "replayed") from error
        return Grant(token, int(LIFETIME.total_seconds()), scopes)

    def _use_up(self, connection: Connection, assertion: Assertion) -> None:
        index = self._keyring.index("assertion", assertion.client_id, assertion.jti)
        row = {"assertion_ix": index, "ends_at": rfc3339(assertion.ends_at)}
        connection.execute(insert(used_assertions), row)

    @staticmethod
    def _forget(connection: Connection, now: str) -> None:
        for table in (system_tokens, used_assertions):
            connection.execute(delete(table).where(table.c.ends_at < now))

    def _token_index(self, token: str) -> bytes:
        return self._keyring.index("system-token", token.encode(errors="replace"))


@contextmanager
def _noted() -> Iterator[None]:
    """Tell the operator which step failed; whoever called learns no more than that it did."""
    try:
        yield
    except Unauthenticated as error:
        _log.warning("no token: %s", error.detail)
        raise


def _asked(scope: str, system: System) -> tuple[str, ...]:
    if len(scope) > _MAX_SCOPE:
        raise Refused("SCOPE_REFUSED")
    asked = set(scope.split(" ")) - {""} or system.scopes
    if not asked <= system.scopes:
        raise Refused("SCOPE_REFUSED")
    return tuple(sorted(asked))


def _is_own(system: System, certificate: bytes) -> bool:
    return any(hmac.compare_digest(bytes.fromhex(each), certificate) for each in system.certificates)
