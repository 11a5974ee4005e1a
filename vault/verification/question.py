"""What a verdict depends on besides the file, in a form that can be sent to the process that judges."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.trusted_list import ISSUING, STAMPING, TrustedList, TrustedService
from vault.evidence.fetching import FetchLimits, WebFetcher
from vault.evidence.findings import Verdict
from vault.evidence.verify import verify_file
from vault.evidence.wire import to_wire
from vault.ledger.policy import Policy
from vault.verification.trust_sources import noted, store

_FETCHING = FetchLimits(all_seconds=10.0)  # well within the time that a file has
_KEPT = 8  # questions whose anchors stay read


@dataclass(frozen=True, slots=True)
class Question:
    """What a verifier brings along.

    Attributes:
        trust: PEM anchors of seals and signatures.
        tsa_trust: PEM anchors of timestamp authorities; None means those of `trust`.
        policy: text of the ledger's policy, or None.
        at: RFC 3339 time to judge at, or None for now.
        lists: trusted lists, as `listed_text` writes them.
        fetch: missing revocation data may be fetched from the network.
    """

    trust: str
    tsa_trust: str | None = None
    policy: str | None = None
    at: str | None = None
    lists: str = "[]"
    fetch: bool = False

    def octets(self) -> bytes:
        """Write it for `prepared`."""
        return orjson.dumps(asdict(self))


def pem_of(certificates: Iterable[x509.Certificate]) -> str:
    """Write certificates as PEM, for `Question`."""
    return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in certificates)


def listed_text(lists: Sequence[TrustedList]) -> str:
    """Write verified trusted lists, for `Question`: their signatures are not verified for each file again."""

    def plain(value: object) -> str:
        if isinstance(value, x509.Certificate):
            return base64.b64encode(value.public_bytes(Encoding.DER)).decode("ascii")
        raise TypeError

    return orjson.dumps(lists, default=plain).decode()


def answer(question: Question, file: Path, originals: Sequence[Path] = ()) -> Verdict:
    """Judge a file in this process. Raises what reading the question raises: ValueError, KeyUnusable and such."""
    return _judge(question.octets())(file, originals)


def prepared(question: bytes) -> Callable[[Path, Sequence[Path]], bytes]:
    """Read a question; what is returned judges a file and writes the verdict as `vault.evidence.wire` does."""
    judge = _judge(question)
    return lambda file, originals: to_wire(judge(file, originals))


@lru_cache(maxsize=_KEPT)
def _judge(question: bytes) -> Callable[[Path, Sequence[Path]], Verdict]:
    asked = Question(**orjson.loads(question))
    lists = [_list(each) for each in orjson.loads(asked.lists)]
    services = [service for each in lists for service in each.services]
    anchors = _anchors(asked.trust)
    trust = store(anchors, services, ISSUING)
    stamping = anchors if asked.tsa_trust is None else _anchors(asked.tsa_trust)
    tsa_trust = store(stamping, services, STAMPING)
    for each in (trust, tsa_trust):
        each.foreign.prepare()
    policy = None if asked.policy is None else Policy.parse(asked.policy)
    at = None if asked.at is None else datetime.fromisoformat(asked.at)

    def judge(file: Path, originals: Sequence[Path]) -> Verdict:
        verdict = verify_file(
            file,
            trust=trust,
            tsa_trust=tsa_trust,
            policy=policy,
            original=originals,
            fetch=WebFetcher(_FETCHING) if asked.fetch else None,
            at=at,
        )
        return noted(verdict, lists, at or datetime.now(UTC))

    return judge


def _anchors(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode()) if pem else []


def _list(value: dict[str, Any]) -> TrustedList:
    following = value["next_update"]
    return TrustedList(
        value["territory"],
        value["number"],
        datetime.fromisoformat(value["issued"]),
        None if following is None else datetime.fromisoformat(following),
        tuple(_service(each) for each in value["services"]),
    )


def _service(value: dict[str, Any]) -> TrustedService:
    return TrustedService(
        tuple(x509.load_der_x509_certificate(base64.b64decode(each)) for each in value["certificates"]),
        value["kind"],
        tuple((status, datetime.fromisoformat(since)) for status, since in value["history"]),
    )
