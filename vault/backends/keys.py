"""The part of `vault.bootstrap` for keys: those that seal and timestamp, and those that encrypt."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from plumbing.disk import make_folder
from signing.cabinet import KeyCabinet
from signing.dev_pki import DevPki
from signing.errors import KeyUnusable, SealKeyMissing, SignatureRefused, SigningUnavailable
from signing.held_cabinet import HeldCabinet, read_roots
from signing.profiles import is_development
from signing.trust import TrustStore
from storage.base import KeyWrapper
from storage.errors import KeyRefused
from storage.key_files import KeyFileChanger
from storage.key_token_file import (
    FollowingTokenWrapper,
    TokenKeyChanger,
    TokenKeyFile,
    is_token_file,
    read_token_file,
    write_token_file,
)
from storage.keys import LocalKeyWrapper
from storage.wrapped import ID
from vault.clock import Clock
from vault.errors import SettingsRefused, Unavailable
from vault.ledger import token_key
from vault.ledger.keys import Maker
from vault.ledger.token_key import make_token_key, read_place
from vault.sealing.encryption_rotation import KeyChanger
from vault.sealing.held_keys import usable_keys
from vault.settings import Settings

if TYPE_CHECKING:
    from signing.tokens import Pkcs11Token

_LABEL = "probans-key-encryption"


def open_cabinet(settings: Settings, clock: Clock) -> KeyCabinet:
    """Open the keys that seal and timestamp: those of the cabinet, in development else keys made here.

    1. In production no certificate, root or former one, is of a development PKI.
    2. The service's own keys are there: of reception, of evidence, and of timestamps where no outside authority dates.
    3. What lies in files opens; tokens and services are asked when they are needed first.
    4. Each certificate in use leads to a root.

    Raises:
        SettingsRefused: KEYS_UNUSABLE, with what is wrong.
    """
    if settings.key_cabinet is None or settings.key_roots is None:
        folder = settings.keys_folder / "pki"
        make_folder(folder)
        with usable_keys():
            return DevPki.open(folder, clock.now())
    with usable_keys():
        cabinet = held_cabinet(settings, clock)
        # 1
        if settings.is_production:
            _refuse_development(cabinet)
        # 2, 3
        cabinet.service_keys()
        if not settings.tsa_url and settings.tsa_authorities is None:
            try:
                cabinet.timestamp  # noqa: B018 - whether it can be had
            except SealKeyMissing as error:
                raise SettingsRefused(
                    "KEYS_UNUSABLE",
                    "Nothing dates: put a timestamp key into the cabinet, or set PROBANS_TSA_URL or "
                    "PROBANS_TSA_AUTHORITIES.",
                ) from error
        for held in cabinet.overview():
            if held.in_use:
                cabinet.key(held.id)
                # 4
                demand_path(held.chain, cabinet.roots(), clock)
    return cabinet


def held_cabinet(settings: Settings, clock: Clock) -> HeldCabinet:
    """Open the cabinet that the settings name, whatever is in it. Raises KeyUnusable, SettingsRefused."""
    if settings.key_cabinet is None or settings.key_roots is None:
        raise SettingsRefused(
            "SETTINGS_REFUSED", "No key cabinet is named: set PROBANS_KEY_CABINET and PROBANS_KEY_ROOTS."
        )
    roots = read_roots(settings.key_roots)
    return HeldCabinet(settings.key_cabinet, roots, clock.now, settings.key_timeout)


def demand_path(chain: tuple[x509.Certificate, ...], roots: list[x509.Certificate], clock: Clock) -> None:
    """Refuse a certificate that no root is behind. Raises KeyUnusable."""
    try:
        TrustStore(roots, require_revocation=False).validate(chain[0], chain[1:], (), clock.now())
    except SignatureRefused as error:
        raise KeyUnusable(f"{subject_of(chain[0])}: {error.code}, {error}") from error


def subject_of(certificate: x509.Certificate) -> str:
    """Name a certificate for an operator."""
    return certificate.subject.rfc4514_string()


def ledger_key_maker(settings: Settings) -> Maker | None:
    """Return what makes Ed25519 keys of the ledger in a token; None where they lie in files. Raises SettingsRefused."""
    if settings.ledger_key_token is None:
        return None
    place = read_place(settings.ledger_key_token)
    return lambda: make_token_key(place)


def encryption_file(settings: Settings) -> Path:
    """Return where the file of key-encryption keys lies."""
    return settings.key_encryption or settings.keys_folder / "key-encryption.key"


def open_wrapper(settings: Settings) -> KeyWrapper:
    """Open the key-encryption keys; in development a first file is made.

    Raises:
        KeyRefused, StorageUnavailable: they cannot be used.
        SettingsRefused: a part that tokens need is not installed.
    """
    path = encryption_file(settings)
    if not path.exists():
        try:
            return LocalKeyWrapper.create(path)
        except KeyRefused:
            pass  # another process was first
    if is_token_file(path):
        return FollowingTokenWrapper(open_token(settings, path, read_token_file(path).place).cipher(), path)
    return LocalKeyWrapper.load(path)


def open_changer(settings: Settings) -> KeyChanger:
    """Return what changes the key-encryption keys. Raises as `open_wrapper`."""
    path = encryption_file(settings)
    if not is_token_file(path):
        return KeyFileChanger(path)
    token = open_token(settings, path, read_token_file(path).place)

    def make(name: bytes) -> None:
        with _asking():
            token.generate("aes-256", f"{_LABEL}-{name.hex()}", name)

    return TokenKeyChanger(path, make)


def make_token_keys(settings: Settings, place: Mapping[str, str]) -> bytes:
    """Make the first key-encryption key in a token and the file that names it; return its id.

    Args:
        settings: see `Settings`.
        place: `module`, `pin_file`, and `token` or `serial`.

    Raises:
        SettingsRefused: KEYS_UNUSABLE: a file stands there already, or the token cannot do it.
    """
    path = encryption_file(settings)
    if path.exists():
        raise SettingsRefused("KEYS_UNUSABLE", f"{path.name} stands there already")
    name = secrets.token_bytes(ID)
    with usable_keys(), _asking():
        open_token(settings, path, place).generate("aes-256", f"{_LABEL}-{name.hex()}", name)
        write_token_file(path, TokenKeyFile(place, frozenset({name}), name))
    return name


def open_token(settings: Settings, path: Path, place: Mapping[str, str]) -> Pkcs11Token:
    """Open a token. Raises SettingsRefused, Unavailable."""
    with usable_keys(), _asking():
        where = {**place, "pin_file": str(path.parent / place["pin_file"])}
        return token_key.open_token(where, settings.key_timeout)


@contextmanager
def _asking() -> Iterator[None]:
    """Turn a token that does not answer into Unavailable(KEY_UNAVAILABLE)."""
    try:
        yield
    except SigningUnavailable as error:
        raise Unavailable("KEY_UNAVAILABLE", str(error)) from error


def _refuse_development(cabinet: HeldCabinet) -> None:
    for root in cabinet.roots():
        if is_development(root):
            raise KeyUnusable(f"a root is of a development PKI: {subject_of(root)}")
    for held in cabinet.overview():
        if any(is_development(each) for each in held.chain):
            raise KeyUnusable(f"key {held.id} has a certificate of a development PKI")
