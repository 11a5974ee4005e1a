"""Verifies a file somebody uploads; it is spooled without a name and never kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from cryptography import x509

from signing.errors import SigningError
from signing.trusted_list import TrustedList
from vault.errors import SettingsRefused
from vault.evidence.report import Verdict
from vault.intake import receive
from vault.ledger.policy import Policy
from vault.settings import Settings
from vault.verification.pool import TemplatePool, VerdictPool
from vault.verification.question import Question, listed_text, pem_of
from vault.verification.trust_sources import anchors_of, open_lists


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
        roots: anchors of the safe's own seals.
        tsa_roots: anchors of its timestamp authorities.
        policy: keys of the ledger and its witnesses, as of now.
        running: told how to end the processes that judge.

    Raises:
        SettingsRefused: whom else to trust cannot be read.
    """
    others, lists = _others(settings)
    seals, times = pem_of(dict.fromkeys((*roots, *others))), pem_of(dict.fromkeys((*tsa_roots, *others)))
    listed = listed_text(lists)
    pool = TemplatePool(
        lambda: Question(seals, times, policy().text(), lists=listed, fetch=settings.verify_fetch)
    )
    running.callback(pool.close)
    return Verifying(settings.spool_folder, settings.max_upload_bytes, pool)


def _others(settings: Settings) -> tuple[Sequence[x509.Certificate], Sequence[TrustedList]]:
    """Read whom the operator trusts besides himself."""
    folder = settings.verify_trusted_lists
    try:
        anchors = anchors_of([settings.verify_trust] if settings.verify_trust else [])
        if folder is None:
            return anchors, ()
        return anchors, open_lists(sorted(folder.glob("*.xml")), [folder / "signers.pem"])
    except (SigningError, OSError) as error:
        names = "PROBANS_VERIFY_TRUST or PROBANS_VERIFY_TRUSTED_LISTS"
        raise SettingsRefused("SETTINGS_REFUSED", f"{names} cannot be used: {error}") from error


class Verifying:
    """The service's own verifier: the same code as `probans verify`, with the service's trust.

    Files are judged in processes of their own (`vault.verification.pool`): none can hurt the service.
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
