"""What a safe needs before its first request: an open ledger, and in development made-up people."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256

from vault.authorization.purposes import Purposes
from vault.clock import rfc3339
from vault.composition.parts import Parts
from vault.db.repositories import Safes
from vault.errors import LedgerError
from vault.ledger.generations import generation_of
from vault.ledger.genesis import open_ledger
from vault.ledger.stated import check_keys
from vault.people import personas
from vault.people.administrations import Administrations
from vault.people.persona_services import SERVICES
from vault.people.safe_opening import open_safe_within
from vault.sealing.held_keys import has_begun


def seal_digests(parts: Parts) -> list[dict[str, str]]:
    """Return purpose and digest of each seal certificate, as entry 0 states them."""
    return [
        {"purpose": key.purpose.value, "sha256": key.certificate.fingerprint(SHA256()).hex()}
        for key in parts.pki.service_keys()
    ]


def open_first_entry(parts: Parts) -> None:
    """Write entry 0 once: origin, log keys and seal certificates, in clear; check the keys ever after.

    Raises:
        LedgerError: GENERATION_UNFOUNDED for a generation that was not begun by retiring the one before.
    """
    generation = generation_of(parts.settings.origin)
    if generation > 1 and not has_begun(parts.database, parts.log):
        raise LedgerError(
            "GENERATION_UNFOUNDED", "a later generation begins with `probans recover --new-generation`"
        )
    keys = parts.ledger_keys.first()
    open_ledger(parts.database, parts.clock, keys, seal_digests(parts), generation=generation)
    with parts.database.reading() as connection:
        check_keys(connection, parts.ledger_keys)


def make_people(parts: Parts, safes: Safes) -> personas.Personas:
    """Make sure that the development administrations, holders and tokens exist; in production there are none."""
    if parts.settings.is_production:
        return personas.Personas(())
    now = rfc3339(parts.clock.now())
    with parts.database.reading() as connection:
        names = safes.administration_names(connection)
        safe_of = {holder: safes.of_holder(connection, holder) for holder in personas.HOLDERS}
    administrations = Administrations(parts.database, parts.records, parts.clock)
    for key, name in personas.ADMINISTRATIONS.items():
        if key not in names:
            administrations.add(key, name)
    _make_services(parts)
    known: dict[str, str] = {}
    for holder, safe_id in safe_of.items():
        known[holder] = safe_id or open_safe(parts, safes, holder, personas.HOLDERS[holder], now)
    return personas.build_personas(personas.load_tokens(parts.settings.keys_folder / "personas.json"), known)


def _make_services(parts: Parts) -> None:
    purposes = Purposes(parts.database, parts.records, parts.clock)
    # What an operator changed since stays as it is.
    have = {service.administration_id for service in purposes.all()}
    for service in SERVICES:
        if service.administration_id not in have:
            purposes.register(service)


def open_safe(parts: Parts, safes: Safes, holder: str, name: str, now: str) -> str:
    """Open a holder's safe, its recovery record first; return its identifier."""
    with parts.database.writing() as connection:
        return open_safe_within(connection, parts.records, safes, holder, name, now)
