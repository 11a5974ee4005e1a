"""A logged-in session on a PKCS#11 token: opened when it is needed, kept, and opened anew after the token was away."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import Mechanism, ObjectClass, TokenFlag
from pkcs11 import exceptions as p11

from signing.errors import KeyUnusable, SigningUnavailable
from signing.secret_files import Secret
from signing.tokens_caller import OneCaller

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)

_PAUSE_S = 1.0
_QUICK_RESTARTS = 4
_RESTART_EACH = 8
_ALREADY_INITIALIZED = 0x191
# What trying again, or a new session, would not change.
_UNFIT = (
    p11.AttributeReadOnly,
    p11.AttributeTypeInvalid,
    p11.AttributeValueInvalid,
    p11.DomainParamsInvalid,
    p11.FunctionNotSupported,
    p11.KeySizeRange,
    p11.KeyTypeInconsistent,
    p11.MechanismInvalid,
    p11.MechanismParamInvalid,
    p11.MultipleObjectsReturned,
    p11.MultipleTokensReturned,
    p11.TemplateIncomplete,
    p11.TemplateInconsistent,
    p11.TokenWriteProtected,
)
# What the binding makes of values that it does not know.
_UNREADABLE = (ValueError, TypeError, KeyError, IndexError, NotImplementedError, OverflowError)
_PIN_REFUSED = (
    p11.PinExpired,
    p11.PinIncorrect,
    p11.PinInvalid,
    p11.PinLenRange,
    p11.PinLocked,
    p11.UserPinNotInitialized,
)


class KeyMissing(KeyUnusable):
    """The token is there, and has no key of this name."""


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Which token.

    Attributes:
        module: path of the PKCS#11 module.
        label: of the token; empty for any.
        serial: of the token; empty for any.
    """

    module: Path
    label: str = ""
    serial: str = ""

    def __str__(self) -> str:
        """Name it in words for an operator."""
        return f"token {self.label or self.serial!r}"


@dataclass(slots=True)
class Held:
    """A session with what was found in it; used in the module's thread only.

    Attributes:
        token: the token.
        session: logged in.
        mechanisms: what the token can do.
        found: objects found before.
    """

    token: pkcs11.Token
    session: pkcs11.Session
    mechanisms: frozenset[Mechanism]
    found: dict[tuple[ObjectClass, str, bytes], Any] = field(default_factory=dict)

    def find(self, kind: ObjectClass, label: str, key_id: bytes) -> Any:
        """Return the one key with a label and identifier (empty: any). Raises pkcs11's errors."""
        name = (kind, label, key_id)
        if name not in self.found:
            self.found[name] = self.session.get_key(object_class=kind, label=label or None, id=key_id or None)
        return self.found[name]


@dataclass(slots=True)
class _Past:
    """What went wrong with a token; of the process, so that opening it once more begins no new count.

    Attributes:
        refused: digest of the PIN that it refused.
        reason: why it could not be opened the last time; empty when it could.
        at: when that was, by the monotonic clock.
        failures: how often that was in a row.
    """

    refused: bytes = b""
    reason: str = ""
    at: float = 0.0
    failures: int = 0


class _Module:
    """A PKCS#11 module of this process, with its one thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.caller = OneCaller(f"pkcs11 {Path(path).name}")
        self.epoch = 0
        self.pasts: defaultdict[TokenPlace, _Past] = defaultdict(_Past)
        self._pid = 0
        self._lib: Any = None

    def current_epoch(self) -> int:
        """Return the number of this process' and module's present life: sessions of another one are gone."""
        if self._pid != os.getpid():
            self.epoch += 1
        return self.epoch

    def library(self) -> Any:
        """Return the module, initialised in this process. Raises KeyUnusable, pkcs11's errors."""
        if self._lib is None:
            if not Path(self.path).is_file():
                raise KeyUnusable(f"there is no PKCS#11 module at {self.path}")
            try:
                self._lib = pkcs11.lib(self.path)
            except p11.PKCS11Error as error:
                if type(error) is p11.PKCS11Error:  # the loader's own
                    raise KeyUnusable(f"the PKCS#11 module cannot be loaded: {error}") from None
                raise
            # At exit the binding would finalise the module, and a token that hangs would hold the process up.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._lib))
        elif self._pid != os.getpid():
            # A forked process has to initialise for itself (PKCS#11 section 5.1); the binding believes it is done.
            code = ctypes.CDLL(self.path).C_Initialize(None)
            if code not in (0, _ALREADY_INITIALIZED):
                raise p11.PKCS11Error(f"C_Initialize after a fork: {code:#x}")
        self._pid = os.getpid()
        return self._lib

    def restart(self) -> Any:
        """Finalise and initialise, as some modules want it after their token was away; every session is gone then."""
        library = self.library()
        self.epoch += 1
        # Not by the binding, which would hold the interpreter's lock all the while; it is told afterwards.
        ctypes.CDLL(self.path).C_Finalize(None)
        with suppress(p11.PKCS11Error):
            library.finalize()
        library.initialize()
        return library


_modules: dict[str, _Module] = {}
_guard = threading.Lock()


def _module(path: Path) -> _Module:
    real = os.path.realpath(path)
    with _guard:
        if real not in _modules:
            _modules[real] = _Module(real)
        return _modules[real]


class TokenSession:
    """A token as its callers see it. Safe for threads; calls take turns with all others to the same module."""

    def __init__(self, place: TokenPlace, pin: Secret, seconds: float) -> None:
        """Take the token.

        Args:
            place: which one.
            pin: of its user.
            seconds: for a call, waiting for its turn and opening sessions included.
        """
        self.place = place
        self._pin = pin
        self._seconds = seconds
        self._module = _module(place.module)
        self._held: Held | None = None
        self._epoch = -1
        with _guard:
            self._past = self._module.pasts[place]

    def __repr__(self) -> str:
        """Name the token."""
        return f"TokenSession({self.place})"

    @property
    def stuck(self) -> bool:
        """True while a call is under way whose time is over."""
        return self._module.caller.stuck

    def run(self, work: Callable[[Held], _Result], *, again: bool = True, seconds: float = 0.0) -> _Result:
        """Do something on the token.

        Args:
            work: what; it runs in the module's thread and may raise pkcs11's errors.
            again: do it once more in a new session when the first one turns out to be dead.
            seconds: another time limit.

        Raises:
            KeyMissing: the token has no such key.
            KeyUnusable: the token cannot do this, or refuses the PIN.
            SigningUnavailable: the token is not there, fails, or does not answer in time.
        """
        return self._module.caller.call(lambda: self._run(work, again=again), seconds or self._seconds)

    def close(self) -> None:
        """Close the session and log out; never raises. The next call opens another one."""
        with suppress(SigningUnavailable):
            self._module.caller.call(self._drop, self._seconds)

    def _run(self, work: Callable[[Held], _Result], *, again: bool) -> _Result:
        for attempt in (1, 2):
            held = self._current()
            try:
                return work(held)
            except _UNFIT as error:
                raise KeyUnusable(f"{self.place} cannot do this: {_words(error)}") from None
            except _UNREADABLE as error:
                raise KeyUnusable(f"{self.place} says what cannot be read: {type(error).__name__}") from None
            except p11.PKCS11Error as error:
                self._drop()
                # A token that went may first show itself by having no keys.
                if attempt == 2 and isinstance(error, p11.NoSuchKey):
                    raise KeyMissing(f"{self.place} has no such key") from None
                if attempt == 2 or not again:
                    raise SigningUnavailable(f"{self.place} failed: {_words(error)}") from None
        raise AssertionError("unreachable")

    def _current(self) -> Held:
        """Return the session, opened when there is none that can be used."""
        if self._held is not None and self._epoch == self._module.current_epoch():
            return self._held
        # Sessions of before a restart are gone, and their numbers may be other people's now.
        self._held = None
        past = self._past
        if past.reason and time.monotonic() - past.at < _PAUSE_S:
            raise SigningUnavailable(past.reason)
        try:
            try:
                self._held = self._log_in(self._module.library())
            except p11.PKCS11Error:
                # Other tokens of the module lose their sessions by it: not for each try of one that stays away.
                if past.failures >= _QUICK_RESTARTS and past.failures % _RESTART_EACH:
                    raise
                self._held = self._log_in(self._module.restart())
        except (p11.PKCS11Error, *_UNREADABLE) as error:
            past.failures += 1
            past.reason, past.at = f"{self.place} cannot be opened: {_words(error)}", time.monotonic()
            raise SigningUnavailable(past.reason) from None
        past.reason, past.failures = "", 0
        self._epoch = self._module.epoch
        _log.info("token opened", extra={"token": self.place.label or self.place.serial})
        return self._held

    def _log_in(self, library: Any) -> Held:
        token: pkcs11.Token = library.get_token(
            **({"token_label": self.place.label} if self.place.label else {}),
            **({"token_serial": self.place.serial.encode()} if self.place.serial else {}),
        )
        if token.flags & (TokenFlag.USER_PIN_LOCKED | TokenFlag.USER_PIN_FINAL_TRY):
            raise KeyUnusable(f"{self.place} is locked or leaves one try: log in by its own tools first")
        pin = self._pin.read()
        digest = hashlib.sha256(pin.encode()).digest()
        if digest == self._past.refused:
            raise KeyUnusable(f"{self.place} refused this PIN before; it is not tried again")
        try:
            session = token.open(user_pin=pin)
        except _PIN_REFUSED as error:
            # A second try could lock the token for everybody.
            self._past.refused = digest
            raise KeyUnusable(f"{self.place} refuses the PIN: {_words(error)}") from None
        except p11.UserAlreadyLoggedIn:
            session = token.open()
        mechanisms = frozenset(each for each in token.slot.get_mechanisms() if isinstance(each, Mechanism))
        return Held(token, session, mechanisms)

    def _drop(self) -> None:
        held, self._held = self._held, None
        if held is not None and self._epoch == self._module.current_epoch():
            with suppress(p11.PKCS11Error):
                held.session.close()


def _words(error: Exception) -> str:
    if isinstance(error, p11.NoSuchToken):
        return "it is in no slot"
    return f"{type(error).__name__} {error}".strip()
