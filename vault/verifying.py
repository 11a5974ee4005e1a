"""Verifies a file somebody uploads; it is spooled without a name and never kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from signing.trust import TrustStore
from vault.evidence.report import Verdict
from vault.evidence.verify import verify_file
from vault.intake import receive
from vault.ledger.policy import Policy


class Verifying:
    """The service's own verifier: the same code as `probans verify`, with the service's trust."""

    def __init__(
        self, spool: Path, limit: int, trust: TrustStore, tsa_trust: TrustStore, policy: Callable[[], Policy]
    ) -> None:
        self._spool = spool
        self._limit = limit
        self._trust = trust
        self._tsa_trust = tsa_trust
        self._policy = policy

    def upload(self, chunks: Iterable[bytes], *, expected_length: int | None = None) -> Verdict:
        """Judge a file.

        Raises:
            Refused: EMPTY_FILE, TOO_LARGE, TRUNCATED; whatever the content is gets a verdict.
        """
        with receive(
            chunks, folder=self._spool, limit=self._limit, expected_length=expected_length
        ) as spooled:
            return verify_file(
                spooled.path, trust=self._trust, tsa_trust=self._tsa_trust, policy=self._policy()
            )
