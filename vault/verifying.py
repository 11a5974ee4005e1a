"""Verifies a file somebody uploads; it is spooled without a name and never kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from cryptography import x509

from vault.evidence.report import Verdict
from vault.intake import receive
from vault.ledger.policy import Policy
from vault.settings import Settings
from vault.verdict_pool import TemplatePool, VerdictPool
from vault.verdict_question import Question, pem_of


def open_verifying(
    settings: Settings,
    roots: Sequence[x509.Certificate],
    tsa_roots: Sequence[x509.Certificate],
    policy: Callable[[], Policy],
    running: ExitStack,
) -> Verifying:
    """Put the service's verifier together.

    Args:
        settings: of the service.
        roots: anchors of seals and signatures.
        tsa_roots: anchors of timestamp authorities.
        policy: keys of the ledger and its witnesses, as of now.
        running: told how to end the processes that judge.
    """
    seals, times = pem_of(roots), pem_of(tsa_roots)
    pool = TemplatePool(lambda: Question(seals, times, policy=policy().text()))
    running.callback(pool.close)
    return Verifying(settings.spool_folder, settings.max_upload_bytes, pool)


class Verifying:
    """The service's own verifier: the same code as `probans verify`, with the service's trust.

    Files are judged in processes of their own (`vault.verdict_pool`): none can hurt the service.
    """

    def __init__(self, spool: Path, limit: int, pool: VerdictPool) -> None:
        """Take the spool folder, the largest size in octets, and who judges."""
        self._spool = spool
        self._limit = limit
        self._pool = pool

    def upload(self, chunks: Iterable[bytes], *, expected_length: int | None = None) -> Verdict:
        """Judge a file.

        Raises:
            Refused: EMPTY_FILE, TOO_LARGE, TRUNCATED; whatever the content is gets a verdict.
            Unavailable: BUSY when too many files are being judged.
        """
        self._pool.start()  # it gets ready while the file comes
        with receive(
            chunks, folder=self._spool, limit=self._limit, expected_length=expected_length
        ) as spooled:
            return self._pool.judge(spooled.path)
