"""What the running safe offers about people: safes, mandates, requests, consents, shares, cases, rights."""

from __future__ import annotations

from dataclasses import dataclass

from vault.cases import Cases
from vault.closures import Closures
from vault.journal_desk import JournalDesk
from vault.labels import Labels
from vault.login_services import LoginServices
from vault.mandates import Mandates
from vault.matters import Matters
from vault.papers import Papers
from vault.rates import Limits, Lockout
from vault.requisitions import Requisitions
from vault.rights_desk import RightsDesk
from vault.safes import SafeRegistry
from vault.share_services import Sharing
from vault.systems import Systems
from vault.tell_once import TellOnce
from vault.ties import Ties


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
