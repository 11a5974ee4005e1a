"""Puts together what "tell us once" rests on: requests, answers, consents, statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vault.answers import Answers
from vault.assurance import Assurances
from vault.attributes import Attributes
from vault.consents import Consents
from vault.giving import Giving
from vault.ledger.writer import LedgerWriter
from vault.matters import Matters
from vault.papers import Papers
from vault.parts import Parts
from vault.purposes import Purposes
from vault.requests import Requests
from vault.statements import Statements
from vault.sweeper import Sweeper
from vault.ties import Ties


@dataclass(frozen=True, slots=True)
class TellOnce:
    """The services of "tell us once".

    Attributes:
        attributes: what can be attested in place of a document.
        requests: administrations ask.
        answers: holders answer.
        consents: what they gave, and take back.
        statements: what was attested.
        sweeper: does what the clock alone causes.
    """

    attributes: Attributes
    requests: Requests
    answers: Answers
    consents: Consents
    statements: Statements
    sweeper: Sweeper


def open_tell_once(
    parts: Parts,
    attributes: Attributes,
    purposes: Purposes,
    matters: Matters,
    ledger: LedgerWriter,
    ties: Ties,
    papers: Papers,
    assurances: Assurances,
) -> TellOnce:
    """Return the services; the sweeper is not started.

    Args:
        parts: the backends.
        attributes: the table.
        purposes: which purposes a service may name.
        matters: writes.
        ledger: commits.
        ties: decides.
        papers: seals and stores.
        assurances: how surely an identity must be proven.
    """
    settings, database, keyring, clock = parts.settings, parts.database, parts.keyring, parts.clock
    retention = timedelta(days=settings.retention_days)
    requests = Requests(
        database,
        keyring,
        matters,
        ledger,
        ties,
        clock,
        attributes,
        purposes,
        answer_days=settings.request_days,
        access_days=settings.consent_days,
    )
    consents = Consents(database, keyring, matters, ledger, ties, papers, clock, retention)
    statements = Statements(database, matters, ties, papers, clock, retention)
    answers = Answers(
        database,
        keyring,
        matters,
        ties,
        requests,
        consents,
        statements,
        attributes,
        assurances,
        clock,
        Giving(unscanned=settings.gives_unscanned),
    )
    sweeper = Sweeper(requests, consents, parts.guard, settings.sweep_interval)
    return TellOnce(attributes, requests, answers, consents, statements, sweeper)
