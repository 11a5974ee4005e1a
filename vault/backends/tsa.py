"""The part of `vault.bootstrap` for what dates documents and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from plumbing.kept import cut_after, timed_session
from signing.crl_cache import CrlCache
from signing.errors import SigningUnavailable
from signing.keys import PROBANS_ARC, SealKey
from signing.profiles import is_development
from signing.revocation import RevocationSource, fetch_http_crls
from signing.trust import TrustStore
from timestamping.authority import EmbeddedAuthority
from timestamping.base import TimestampAuthority
from timestamping.errors import AuthorityMisconfigured, AuthorityUnavailable
from timestamping.rfc3161 import HttpAuthority, HttpAuthorityConfig
from timestamping.several import SeveralAuthorities
from timestamping.verify import Rfc3161Verifier
from vault.composition.parts import Parts
from vault.config.tsa_file import NamedAuthority, load_authorities, read_anchors, read_secret
from vault.errors import SettingsRefused
from vault.sealing.dating import Dating

EMBEDDED_TSA_POLICY = f"{PROBANS_ARC}.100"
_ONLY = "tsa"


@dataclass(frozen=True, slots=True)
class _Opened:
    """What dates, and whose word is taken for its certificates."""

    authority: TimestampAuthority
    roots: tuple[x509.Certificate, ...]


def dating(parts: Parts) -> Dating:
    """Open what dates documents and the ledger; authorities of the ledger's own where the settings name some.

    Raises:
        SettingsRefused: the settings cannot be used.
    """
    settings, roots = parts.settings, parts.pki.roots()
    documents = _open(parts, "TSA", settings.tsa_url, settings.tsa_trust, settings.tsa_authorities)
    opened = documents or _Opened(_embedded(parts), tuple(roots))
    revocation = RevocationSource(
        _crl_fetcher(parts, opened.authority, opened.roots), [*roots, *opened.roots]
    )
    ledger = _open(
        parts,
        "ANCHOR_TSA",
        settings.anchor_tsa_url,
        settings.anchor_tsa_trust,
        settings.anchor_tsa_authorities,
    )
    anchoring, anchor_revocation = opened, revocation
    if ledger is not None:
        anchoring = ledger
        anchor_revocation = RevocationSource(
            _crl_fetcher(parts, ledger.authority, ledger.roots), [*roots, *ledger.roots]
        )
    every = (*dict.fromkeys((*opened.roots, *anchoring.roots)),)
    return Dating(
        opened.authority,
        revocation,
        anchoring.authority,
        anchor_revocation,
        Rfc3161Verifier(TrustStore(every)),
        every,
        opened.authority if isinstance(opened.authority, EmbeddedAuthority) else None,
    )


def _embedded(parts: Parts) -> EmbeddedAuthority:
    key = parts.pki.timestamp
    return EmbeddedAuthority(
        TimestampKey(key), (key.certificate, *key.chain), EMBEDDED_TSA_POLICY, parts.clock
    )


class TimestampKey:
    """A key of the cabinet as `timestamping` knows one: a token that does not answer is an authority that does not."""

    def __init__(self, key: SealKey) -> None:
        """Take the key."""
        self._key = key

    def sign(self, data: bytes) -> bytes:
        """See `timestamping.base.SigningKey`. Raises AuthorityUnavailable."""
        try:
            return self._key.sign(data)
        except SigningUnavailable as error:
            raise AuthorityUnavailable(f"the timestamp key: {error}") from error


def _open(parts: Parts, setting: str, url: str, trust: Path | None, file: Path | None) -> _Opened | None:
    """Open outside authorities, one or several; None where none is named. Raises SettingsRefused naming the setting."""
    if file is not None:
        named = [
            (each, read_anchors(file.parent / each.trust), file.parent) for each in load_authorities(file)
        ]
    elif url:
        roots = parts.pki.roots() if trust is None else read_anchors(trust, f"PROBANS_{setting}_TRUST")
        only = NamedAuthority(name=_ONLY, url=url, trust="", own=list(roots) == list(parts.pki.roots()))
        named = [(only, roots, Path())]
    else:
        return None
    if parts.settings.is_production and any(is_development(root) for _, roots, _ in named for root in roots):
        raise SettingsRefused("KEYS_UNUSABLE", "an anchor of a timestamp authority is of a development PKI")
    try:
        members = [(each.name, _http(parts, each, roots, folder)) for each, roots, folder in named]
    except AuthorityMisconfigured as error:
        raise SettingsRefused("SETTINGS_REFUSED", str(error)) from error
    authority = SeveralAuthorities(members, parts.clock, parts.settings.timestamp_limits)
    return _Opened(authority, (*dict.fromkeys(root for _, roots, _ in named for root in roots),))


def _http(
    parts: Parts, named: NamedAuthority, roots: Sequence[x509.Certificate], folder: Path
) -> HttpAuthority:
    settings = parts.settings
    return HttpAuthority(
        HttpAuthorityConfig(
            url=named.url,
            timeout=named.timeout or settings.tsa_timeout,
            policy=named.policy,
            username=named.username,
            password=None if named.password_file is None else read_secret(folder / named.password_file),
            bearer=None if named.bearer_file is None else read_secret(folder / named.bearer_file),
            own=named.own,
            clock_tolerance=timedelta(seconds=settings.tsa_tolerance),
            tls_ca_file=None if named.tls_ca is None else folder / named.tls_ca,
        ),
        # Each by its own anchors alone: a token of another authority, trusted or not, is none of this one's.
        Rfc3161Verifier(TrustStore(roots, require_revocation=False)),
        parts.clock,
    )


def _crl_fetcher(
    parts: Parts, authority: TimestampAuthority, roots: Sequence[x509.Certificate]
) -> Callable[[datetime], Sequence[bytes]]:
    session = timed_session()

    def ask(chains: Sequence[Sequence[x509.Certificate]], seconds: float) -> Sequence[bytes]:
        with cut_after(seconds):
            return fetch_http_crls(chains, seconds, session=session)

    cache = CrlCache(parts.settings.tsa_timeout, roots, ask)

    def fetch(now: datetime) -> Sequence[bytes]:
        lists = list(parts.pki.crls(now))
        if isinstance(authority, SeveralAuthorities):
            chained = dict.fromkeys(each for chain in authority.chains() for each in chain)
            lists += cache.crls(list(chained), now)
        return lists

    return fetch
