"""The service's sealers over held keys, opened once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from cryptography import x509

from signing.base import KeyPurpose, Sealer
from signing.cades import CadesSealer
from signing.keys import SealKey
from signing.pades import PadesSealer
from vault.evidence.layout import EVIDENCE_SIGNATURE


class KeySealers:
    """Sealers by purpose and administration; implements `vault.sealing.Sealers`."""

    def __init__(
        self, act_seal: Callable[[str], SealKey], reception_seal: SealKey, evidence_seal: SealKey
    ) -> None:
        """Keep the keys.

        Args:
            act_seal: returns the act seal of an administration.
            reception_seal: the key that seals attachments.
            evidence_seal: the key that seals bundles.
        """
        self._act_seal = act_seal
        self._reception = reception_seal
        self._evidence_key = evidence_seal
        self._evidence = CadesSealer(evidence_seal, signature_name=EVIDENCE_SIGNATURE)
        self._reports = PadesSealer(evidence_seal, purpose=KeyPurpose.EVIDENCE_SEAL)
        self._made: dict[tuple[object, KeyPurpose, str | None], Sealer] = {}
        self._lock = threading.Lock()

    def pades(self, administration_id: str) -> Sealer:
        """Return the administration's sealer of PDF acts."""
        return self._sealer(PadesSealer, KeyPurpose.ACT_SEAL, administration_id)

    def cades(self, purpose: KeyPurpose, administration_id: str | None = None) -> Sealer:
        """Return the sealer of files that are not changed."""
        return self._sealer(CadesSealer, purpose, administration_id)

    def evidence(self) -> CadesSealer:
        """Return the sealer of evidence bundles."""
        return self._evidence

    def reports(self) -> Sealer:
        """Return the sealer of PDF reports, with the key of the evidence bundles."""
        return self._reports

    def chain(self, purpose: KeyPurpose, administration_id: str | None = None) -> Sequence[x509.Certificate]:
        """Return the seal certificate and its issuers, without the root."""
        key = self._key(purpose, administration_id)
        return (key.certificate, *key.chain)

    def _key(self, purpose: KeyPurpose, administration_id: str | None) -> SealKey:
        if purpose is KeyPurpose.ACT_SEAL and administration_id is not None:
            return self._act_seal(administration_id)
        return self._evidence_key if purpose is KeyPurpose.EVIDENCE_SEAL else self._reception

    def _sealer(
        self, kind: Callable[[SealKey], Sealer], purpose: KeyPurpose, administration_id: str | None
    ) -> Sealer:
        name = (kind, purpose, administration_id)
        with self._lock:
            if name not in self._made:
                self._made[name] = kind(self._key(purpose, administration_id))
            return self._made[name]
