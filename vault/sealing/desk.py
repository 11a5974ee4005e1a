"""Steps 3 and 4 of the flow: seal and timestamp, or say honestly that sealing has to wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509

from signing.asic import Reference
from signing.base import KeyPurpose, Prepared, Revision, Sealer, SealSource, ValidationMaterial
from signing.cades import CadesSealer
from signing.errors import KeyUnusable, ReserveExceeded, RevocationStale, SigningUnavailable
from timestamping.base import TimestampAuthority, Token
from timestamping.errors import AuthorityUnavailable, ClockDisagrees, TimestampingError, TokenRefused
from timestamping.several import turns
from vault.clock import Clock
from vault.core import tracing
from vault.errors import Unavailable

_ATTEMPTS = 4


class Sealers(Protocol):
    """The service's sealers, one key per purpose."""

    def pades(self, administration_id: str) -> Sealer:
        """Return the administration's sealer of PDF acts."""
        ...

    def cades(self, purpose: KeyPurpose, administration_id: str | None = None) -> Sealer:
        """Return the sealer of files that are not changed: an administration's, or the service's own."""
        ...

    def evidence(self) -> CadesSealer:
        """Return the sealer of evidence bundles."""
        ...

    def reports(self) -> Sealer:
        """Return the sealer of PDF reports."""
        ...

    def chain(self, purpose: KeyPurpose, administration_id: str | None = None) -> Sequence[x509.Certificate]:
        """Return the seal certificate and its issuers, without the root."""
        ...


class MaterialSource(Protocol):
    """Gives the certificates and fresh revocation data to embed."""

    def material(self, chains: Sequence[Sequence[x509.Certificate]], now: datetime) -> ValidationMaterial:
        """Raises signing.errors.RevocationStale when nothing fresh is at hand."""
        ...


class SealingWaits(Unavailable):
    """No timestamp, no fresh revocation data or no key now: the file is kept and sealed later."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished seal.

    Attributes:
        revision: what the sealer made.
        token: the timestamp inside.
    """

    revision: Revision
    token: Token


class SealingDesk:
    """Seals one file at a time; many threads may use it."""

    def __init__(
        self,
        sealers: Sealers,
        authority: TimestampAuthority,
        revocation: MaterialSource,
        clock: Clock,
        tolerance: timedelta,
    ) -> None:
        self.sealers = sealers
        self._authority = authority
        self._revocation = revocation
        self._clock = clock
        self._tolerance = tolerance

    def seal(self, sealer: Sealer, chain: Sequence[x509.Certificate], source: SealSource) -> Sealed:
        """Seal and timestamp a file.

        Raises:
            SealingWaits: the authority does not answer or its time disagrees, revocation data is stale, or the
                token or service that holds the key does not answer.
            signing.errors.SigningError: this file or key cannot be sealed at all.
        """
        return self._finish(
            _of_one_key(sealer, chain),
            lambda material, reserve, now: sealer.prepare(source, material, reserve, now),
            sealer.complete,
        )

    def rehearse(self, sealer: Sealer, source: SealSource) -> None:
        """See now whether the file can take a seal later. The key is not asked: it may be what one has to wait for.

        Raises:
            signing.errors.SigningError: this file or key cannot be sealed at all.
        """
        sealer.rehearse(source, self._clock.now())

    def seal_evidence(self, references: Callable[[ValidationMaterial], Sequence[Reference]]) -> Sealed:
        """Seal a list of members with the evidence seal.

        Args:
            references: given the material the seal will embed, returns what it must cover.

        Raises:
            SealingWaits: see `seal`.
            signing.errors.SigningError: the evidence key cannot be used.
        """
        sealer = self.sealers.evidence()
        chain = _of_one_key(sealer, self.sealers.chain(KeyPurpose.EVIDENCE_SEAL))
        return self._finish(
            chain,
            lambda material, _, now: sealer.prepare_manifest(references(material), material, now),
            sealer.complete,
        )

    def _finish(
        self,
        chain: Sequence[x509.Certificate],
        prepare: Callable[[ValidationMaterial, int, datetime], Prepared],
        complete: Callable[[Prepared, bytes], Revision],
    ) -> Sealed:
        failure = SealingWaits("TSA_UNAVAILABLE", "no timestamp authority is asked now")
        for authority in turns(self._authority):
            try:
                return self._finish_with(authority, chain, prepare, complete)
            except (TimestampingError, RevocationStale) as error:
                # Of several reasons, a clock that is wrong is the one that people can do something about.
                if failure.code != "TSA_CLOCK":
                    failure = SealingWaits(_code(error), f"{error.code}: {error}")
            except SigningUnavailable as error:
                raise SealingWaits(error.code, str(error)) from error
        raise failure

    def _finish_with(
        self,
        authority: TimestampAuthority,
        chain: Sequence[x509.Certificate],
        prepare: Callable[[ValidationMaterial, int, datetime], Prepared],
        complete: Callable[[Prepared, bytes], Revision],
    ) -> Sealed:
        """Seal with the timestamp of one authority, whose certificates are those that were prepared for."""
        dating = [tuple(authority.chain())]
        reserve = authority.expected_size
        now = self._clock.now()
        for _ in range(_ATTEMPTS):
            prepared = prepare(self._material(chain, dating, now), reserve, now)
            with tracing.span("timestamp"):
                token = authority.token(prepared.imprint)
            if abs(token.gen_time - now) > self._tolerance:
                raise ClockDisagrees(token.gen_time, "the authority's time differs from the service's clock")
            if token.chain not in dating:
                # An authority signs with several keys, or changed its own: what proves this one goes in too.
                dating.append(token.chain)
                continue
            try:
                return Sealed(complete(prepared, token.der), token)
            except ReserveExceeded as error:
                reserve = error.needed
        raise AuthorityUnavailable("the authority's tokens keep changing size or signer")

    def _material(
        self,
        chain: Sequence[x509.Certificate],
        dating: Sequence[Sequence[x509.Certificate]],
        now: datetime,
    ) -> ValidationMaterial:
        try:
            return self._revocation.material([chain, *dating], now)
        except KeyUnusable as error:
            # Raised again where the seal's own key is at fault; else it is the authority's, and another may do.
            self._revocation.material([chain], now)
            raise TokenRefused("TSA_UNAVAILABLE", f"the authority's certificate: {error}") from error


def _of_one_key(
    sealer: Sealer | CadesSealer, chain: Sequence[x509.Certificate]
) -> Sequence[x509.Certificate]:
    """Return the chain of the sealer's key. Raises SealingWaits: the next key was installed at this moment."""
    # Nearly always the same object; comparing two takes as long as a signature.
    if chain[0] is not sealer.certificate and chain[0] != sealer.certificate:
        raise SealingWaits("KEY_UNAVAILABLE", "another key came into use")
    return chain


def _code(error: TimestampingError | RevocationStale) -> str:
    """Return a code that people have words for; what exactly an authority did wrong is for operators."""
    return error.code if error.code in {"TSA_CLOCK", RevocationStale.code} else "TSA_UNAVAILABLE"
