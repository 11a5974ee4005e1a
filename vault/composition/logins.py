"""What logging in consists of, put together once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vault.authorization.assurance import Assurances
from vault.composition.parts import Parts
from vault.domain.actors import Assurance
from vault.people.accounts import Accounts
from vault.people.logins import Logins
from vault.people.sessions import SessionLimits, Sessions


@dataclass(frozen=True, slots=True)
class LoginServices:
    """The services of people who log in.

    Attributes:
        accounts: who an identity is here.
        sessions: live sessions.
        logins: logins under way.
        assurance: which acts demand a surer or fresher proof.
    """

    accounts: Accounts
    sessions: Sessions
    logins: Logins
    assurance: Assurances


def open_login_services(parts: Parts) -> LoginServices:
    """Put them together on opened backends."""
    settings, clock = parts.settings, parts.clock
    providers = {each.config.name: each for each in parts.identities.providers.all()}
    configs = {name: each.config for name, each in providers.items()}
    accounts = Accounts(parts.database, parts.keyring, parts.records, clock, configs)
    limits = SessionLimits(
        timedelta(minutes=settings.session_idle_minutes), timedelta(minutes=settings.session_minutes)
    )
    sessions = Sessions(parts.database, parts.keyring, clock, limits, configs)
    level = settings.sensitive_assurance
    return LoginServices(
        accounts,
        sessions,
        Logins(parts.database, parts.keyring, clock, providers, accounts, sessions),
        Assurances(clock, Assurance[level.upper()] if level != "none" else None),
    )
