"""The service's sealers over held keys, opened once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

from cryptography import x509

from signing.base import KeyPurpose, Sealer
from signing.cabinet import KeyCabinet
from signing.cades import CadesSealer
from signing.errors import SealKeyMissing
from signing.keys import SealKey
from signing.pades import PadesSealer
from vault.errors import Unavailable
from vault.evidence.layout import EVIDENCE_SIGNATURE

_S = TypeVar("_S", bound=Sealer)


class SealKeyAbsent(Unavailable):
    """An operator has to install a key; nothing is sealed with another one meanwhile."""


class KeySealers:
    """Sealers by purpose and administration; implements `vault.sealing.desk.Sealers`.

    The cabinet is asked for the key each time: an operator may have installed the next one.
    """

    def __init__(self, cabinet: KeyCabinet, name_of: Callable[[str], str], *, algorithm: str) -> None:
        """Keep the keys.

        Args:
            cabinet: of the keys.
            name_of: returns the name of an administration.
            algorithm: of act seals that the cabinet makes itself.
        """
        self._cabinet = cabinet
        self._name_of = name_of
        self._algorithm = algorithm
        self._made: dict[tuple[object, int], tuple[SealKey, Sealer]] = {}
        self._lock = threading.Lock()

    def pades(self, administration_id: str) -> Sealer:
        """Return the administration's sealer of PDF acts. Raises SealKeyAbsent."""
        return self._sealer(PadesSealer, self._key(KeyPurpose.ACT_SEAL, administration_id))

    def cades(self, purpose: KeyPurpose, administration_id: str | None = None) -> Sealer:
        """Return the sealer of files that are not changed. Raises SealKeyAbsent."""
        return self._sealer(CadesSealer, self._key(purpose, administration_id))

    def evidence(self) -> CadesSealer:
        """Return the sealer of evidence bundles. Raises SealKeyAbsent."""
        return self._sealer(_evidence_sealer, self._key(KeyPurpose.EVIDENCE_SEAL, None))

    def reports(self) -> Sealer:
        """Return the sealer of PDF reports, with the key of the evidence bundles. Raises SealKeyAbsent."""
        return self._sealer(_report_sealer, self._key(KeyPurpose.EVIDENCE_SEAL, None))

    def chain(self, purpose: KeyPurpose, administration_id: str | None = None) -> Sequence[x509.Certificate]:
        """Return the seal certificate and its issuers, without the root. Raises SealKeyAbsent."""
        key = self._key(purpose, administration_id)
        return (key.certificate, *key.chain)

    def _key(self, purpose: KeyPurpose, administration_id: str | None) -> SealKey:
        try:
            return self._held(purpose, administration_id)
        except SealKeyMissing as error:
            raise SealKeyAbsent(
                "SEAL_KEY_MISSING", str(error), purpose=purpose.value, administration=administration_id or ""
            ) from error

    def _held(self, purpose: KeyPurpose, administration_id: str | None) -> SealKey:
        if purpose is KeyPurpose.ACT_SEAL and administration_id is not None:
            name = self._name_of(administration_id)
            return self._cabinet.act_seal(administration_id, name, algorithm=self._algorithm)
        return (
            self._cabinet.evidence_seal
            if purpose is KeyPurpose.EVIDENCE_SEAL
            else self._cabinet.reception_seal
        )

    def _sealer(self, kind: Callable[[SealKey], _S], key: SealKey) -> _S:
        # The cabinet holds each key once, and comparing certificates costs more than a signature; the key is kept
        # beside its sealer, so that no other one can come to have its identity.
        name = (kind, id(key))
        with self._lock:
            if name not in self._made:
                self._made[name] = (key, kind(key))
            # Found under the kind that made it.
            return cast("_S", self._made[name][1])


def _evidence_sealer(key: SealKey) -> CadesSealer:
    return CadesSealer(key, signature_name=EVIDENCE_SIGNATURE)


def _report_sealer(key: SealKey) -> PadesSealer:
    return PadesSealer(key, purpose=KeyPurpose.EVIDENCE_SEAL)
