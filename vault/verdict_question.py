"""What a verdict depends on besides the file, in a form that can be sent to the process that judges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.trust import TrustStore
from vault.evidence.findings import Verdict
from vault.evidence.verify import verify_file
from vault.evidence.wire import to_wire
from vault.ledger.policy import Policy

_KEPT = 8  # questions whose anchors stay read


@dataclass(frozen=True, slots=True)
class Question:
    """What a verifier brings along.

    Attributes:
        trust: PEM anchors of seals and signatures.
        tsa_trust: PEM anchors of timestamp authorities; None means those of `trust`.
        policy: text of the ledger's policy, or None.
        at: RFC 3339 time to judge at, or None for now.
    """

    trust: str
    tsa_trust: str | None = None
    policy: str | None = None
    at: str | None = None

    def octets(self) -> bytes:
        """Write it for `prepared`."""
        return orjson.dumps(asdict(self))


def pem_of(certificates: Iterable[x509.Certificate]) -> str:
    """Write certificates as PEM, for `Question`."""
    return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in certificates)


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
    trust = _anchors(asked.trust)
    tsa_trust = None if asked.tsa_trust is None else _anchors(asked.tsa_trust)
    policy = None if asked.policy is None else Policy.parse(asked.policy)
    at = None if asked.at is None else datetime.fromisoformat(asked.at)

    def judge(file: Path, originals: Sequence[Path]) -> Verdict:
        return verify_file(
            file,
            trust=trust,
            tsa_trust=tsa_trust,
            policy=policy,
            original=originals or None,
            at=at,
        )

    return judge


def _anchors(pem: str) -> TrustStore:
    return TrustStore.from_pem(pem.encode()) if pem else TrustStore([])
