"""What the running safe offers about people: safes, mandates, requests, consents, shares, cases, rights."""

from __future__ import annotations

from dataclasses import dataclass

from vault.authorization.rates import Limits, Lockout
from vault.authorization.ties import Ties
from vault.composition.journal import JournalDesk
from vault.composition.logins import LoginServices
from vault.composition.requests import TellOnce
from vault.composition.rights import RightsDesk
from vault.composition.sharing import Sharing
from vault.matters.cases import Cases
from vault.matters.labels import Labels
from vault.matters.requisitions import Requisitions
from vault.matters.steps import Matters
from vault.people.closures import Closures
from vault.people.mandates import Mandates
from vault.people.safes import SafeRegistry
from vault.people.systems import Systems
from vault.sealing.papers import Papers


@dataclass(frozen=True, slots=True)
class People:
    """The services about people, put together by `vault.assembly`.

    Attributes:
        matters: begins and moves matters.
        ties: which relations a caller has.
        papers: seals statements.
        journal: the access journal, read, proven, exported and reported.
        cases: where is my request.
        requisitions: what courts and authorities ordered.
        labels: free words by which holders find documents.
        mandates: who may act for whom.
        closures: how safes are closed.
        safes: opens safes and tells about them.
        rights: a copy of everything, and notes on what is wrong.
        tell_once: requests, consents, statements.
        sharing: share codes for third parties.
        systems: gives tokens to software that calls by itself, and tells who bears one.
        limits: how much strangers may ask of this process.
        lockout: counts wrong secrets.
        login: accounts, sessions, logins under way, and which acts demand a proof anew.
    """

    matters: Matters
    ties: Ties
    papers: Papers
    journal: JournalDesk
    cases: Cases
    requisitions: Requisitions
    labels: Labels
    mandates: Mandates
    closures: Closures
    safes: SafeRegistry
    rights: RightsDesk
    tell_once: TellOnce
    sharing: Sharing
    systems: Systems
    limits: Limits
    lockout: Lockout
    login: LoginServices
