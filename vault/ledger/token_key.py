"""The ledger's Ed25519 key in a PKCS#11 token: a small file stands where the key's own would stand.

JSON with the members `format` ("probans/ledger-key-token/v1"), `module`, `pin_file`, `token` or `serial`, `key_id` and
`public` (hex; 32 octets): enough to find the key, and to name it while the token is away. No secret is in it.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from vault.errors import SettingsRefused, Unavailable

if TYPE_CHECKING:
    from signing.tokens import Pkcs11Token

FORMAT = "probans/ledger-key-token/v1"
_PLACE = ("module", "token", "serial", "pin_file")
_PUBLIC = 32
_SECONDS = 10.0


class Ed25519Key(Protocol):
    """A private key, wherever it lies."""

    def public_key(self) -> Ed25519PublicKey:
        """Return the public key; asks nobody."""
        ...

    def sign(self, data: bytes, /) -> bytes:
        """Sign data (RFC 8032). Raises Unavailable(KEY_UNAVAILABLE): it does not answer now."""
        ...


class TokenEd25519:
    """A key in a token, opened when it first signs. Safe for threads."""

    def __init__(self, place: Mapping[str, str], key_id: bytes, public: bytes) -> None:
        """Take the key.

        Args:
            place: `module`, `pin_file`, and `token` or `serial`.
            key_id: CKA_ID.
            public: its public half, 32 octets.
        """
        self._place = dict(place)
        self._key_id = key_id
        self._public = Ed25519PublicKey.from_public_bytes(public)
        self._sign: Callable[[bytes], bytes] | None = None
        self._guard = threading.Lock()

    def public_key(self) -> Ed25519PublicKey:
        """See `Ed25519Key`."""
        return self._public

    def sign(self, data: bytes, /) -> bytes:
        """See `Ed25519Key`. What is not a signature by this key is none."""
        from signing.errors import SigningError

        try:
            with self._guard:
                if self._sign is None:
                    token = open_token(self._place)
                    self._sign = token.signer(key_id=self._key_id, public=self._public).sign
            return self._sign(data)
        except SigningError as error:
            raise Unavailable("KEY_UNAVAILABLE", str(error)) from error


def is_token_key(content: bytes) -> bool:
    """Tell whether a key file says that the key lies in a token."""
    return content.lstrip().startswith(b"{")


def read_token_key(content: bytes) -> TokenEd25519:
    """Read a file; the token is not asked. Raises SettingsRefused(LEDGER_KEYS_UNREADABLE)."""
    try:
        raw = json.loads(content)
        place = {name: raw[name] for name in _PLACE if name in raw}
        if raw["format"] != FORMAT or set(raw) - set(_PLACE) != {"format", "key_id", "public"}:
            raise SettingsRefused("LEDGER_KEYS_UNREADABLE", "the file of a key in a token has another form")
        return TokenEd25519(place, bytes.fromhex(raw["key_id"]), bytes.fromhex(raw["public"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SettingsRefused(
            "LEDGER_KEYS_UNREADABLE", "the file of a key in a token cannot be read"
        ) from error


def read_place(path: Path) -> dict[str, str]:
    """Read in which token keys are made: JSON with `module`, `pin_file`, and `token` or `serial`.

    Raises:
        SettingsRefused: SETTINGS_REFUSED.
    """
    try:
        raw: Any = json.loads(path.read_bytes())
        place = {str(name): str(value) for name, value in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SettingsRefused("SETTINGS_REFUSED", f"{path.name} names no token") from error
    if not {"module", "pin_file"} <= set(place) <= set(_PLACE):
        raise SettingsRefused("SETTINGS_REFUSED", f"{path.name} names a token by module, token and pin_file")
    return {**place, "pin_file": str(path.parent.absolute() / place["pin_file"])}


def make_token_key(place: Mapping[str, str]) -> bytes:
    """Make a key that never leaves a token; return the content of its file.

    Raises:
        SettingsRefused: KEYS_UNUSABLE, the token cannot do this.
        Unavailable: KEY_UNAVAILABLE, it does not answer.
    """
    from signing.errors import KeyUnusable, SigningUnavailable

    key_id = secrets.token_bytes(8)
    try:
        made = open_token(place).generate("ed25519", f"probans-ledger-{key_id.hex()}", key_id)
    except KeyUnusable as error:
        raise SettingsRefused("KEYS_UNUSABLE", str(error)) from error
    except SigningUnavailable as error:
        raise Unavailable("KEY_UNAVAILABLE", str(error)) from error
    public = made.public
    if not isinstance(public, Ed25519PublicKey):
        raise SettingsRefused("KEYS_UNUSABLE", "the token does not tell the public key that it made")
    named = {"key_id": key_id.hex(), "public": public.public_bytes_raw().hex()}
    return json.dumps({"format": FORMAT, **place, **named}, indent=2).encode() + b"\n"


def open_token(place: Mapping[str, str], seconds: float = _SECONDS) -> Pkcs11Token:
    """Open a token.

    Args:
        place: `module`, `pin_file`, and `token` or `serial`.
        seconds: for each answer.

    Raises:
        SettingsRefused: nothing is installed that speaks to tokens.
        signing.errors.KeyUnusable, SigningUnavailable: it cannot be used, or does not answer.
    """
    try:
        from signing.secret_files import Secret
        from signing.tokens import Pkcs11Token, TokenPlace
    except ImportError as error:
        raise SettingsRefused(
            "SETTINGS_REFUSED", "Keys in tokens need the extra `hsm`: pip install 'probans[hsm]'."
        ) from error
    where = TokenPlace(Path(place["module"]), place.get("token", ""), place.get("serial", ""))
    return Pkcs11Token.open(where, Secret.in_file(Path(place["pin_file"])), seconds=seconds)
