"""Puts together what "tell us once" rests on: requests, answers, consents, statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vault.authorization.assurance import Assurances
from vault.authorization.giving import Giving
from vault.authorization.purposes import Purposes
from vault.composition.parts import Parts
from vault.matters.answers import Answers
from vault.matters.attributes import Attributes
from vault.matters.consents import Consents
from vault.matters.requests import Requests
from vault.matters.services import Means
from vault.matters.statements import Statements
from vault.matters.sweeper import Sweeper
from vault.sealing.papers import Papers


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
    means: Means,
    papers: Papers,
    assurances: Assurances,
) -> TellOnce:
    """Return the services; the sweeper is not started.

    Args:
        parts: the backends.
        attributes: the table.
        purposes: which purposes a service may name.
        means: what services about matters have in common.
        papers: seals and stores.
        assurances: how surely an identity must be proven.
    """
    settings = parts.settings
    retention = timedelta(days=settings.retention_days)
    requests = Requests(
        means, attributes, purposes, answer_days=settings.request_days, access_days=settings.consent_days
    )
    consents = Consents(means, papers, retention)
    statements = Statements(means, papers, retention)
    giving = Giving(unscanned=settings.gives_unscanned)
    answers = Answers(means, requests, consents, statements, attributes, assurances, giving)
    sweeper = Sweeper(requests, consents, parts.guard, settings.sweep_interval)
    return TellOnce(attributes, requests, answers, consents, statements, sweeper)
