"""A verdict on its way out of the process that judged a hostile file: written plainly, read strictly.

The reader trusts nothing: that process may have been taken over, and then the worst it can do is to lie about the
one file it was given. What is no verdict is refused as a whole.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson

from vault.evidence.errors import EvidenceRefused
from vault.evidence.findings import EXIT_CODES, Outcome, Verdict

_MAX_ITEMS = 100_000
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")
_MAX_INT = 2**63
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


class WireRefused(EvidenceRefused):
    """These octets are no verdict."""

    def __init__(self) -> None:
        super().__init__("VERIFIER_CRASHED", "the answer of the process that judged is no verdict")


def to_wire(verdict: Verdict) -> bytes:
    """Write a verdict. Raises TypeError for text that cannot be written as UTF-8."""
    return orjson.dumps(verdict)


def from_wire(data: bytes) -> Verdict:
    """Read a verdict.

    1. JSON, of exactly the members of `Verdict` and of what is in it, each of its type. 2. The verdict is PASSED,
    FAILED or INDETERMINATE; reason codes look like codes. 3. It rests on
    checks, and is PASSED exactly where no reason stands against it.

    Raises:
        WireRefused: it is no verdict.
    """
    # 1
    try:
        verdict = _reader(Verdict)(orjson.loads(data))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WireRefused from error
    if not isinstance(verdict, Verdict):
        raise WireRefused
    # 2
    codes = [reason.code for reason in verdict.reasons]
    codes += [code for signature in verdict.signatures for code in signature.reasons]
    if verdict.verdict not in EXIT_CODES or not all(_CODE.fullmatch(code) for code in codes):
        raise WireRefused
    # 3
    bad = {Outcome.FAILED, Outcome.INDETERMINATE}
    clear = not verdict.reasons and not any(check.outcome in bad for check in verdict.checks)
    if (verdict.verdict is Outcome.PASSED) is not clear or not verdict.checks:
        raise WireRefused
    return verdict


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return the strict reader of a type: a dataclass, a tuple, an optional, an outcome, text, number or truth."""
    if is_dataclass(kind):
        return _object_reader(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        inner = _reader(arguments[0])
        return lambda value: tuple(inner(item) for item in _exactly(value, list, _MAX_ITEMS))
    if origin in {types.UnionType, Union}:
        some = _reader(next(argument for argument in arguments if argument is not type(None)))
        return lambda value: None if value is None else some(value)
    if kind is Outcome:
        return lambda value: _OUTCOMES[value]
    return lambda value: _exactly(value, kind, _MAX_INT)


def _object_reader(kind: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    readers = {item.name: _reader(hints[item.name]) for item in fields(kind)}

    def read(value: Any) -> Any:
        if type(value) is not dict or value.keys() != readers.keys():
            raise WireRefused
        return kind(**{name: reader(value[name]) for name, reader in readers.items()})

    return read


def _exactly(value: Any, kind: Any, limit: int) -> Any:
    # bool is an int in Python, and is none here.
    if type(value) is not kind or (kind is list and len(value) > limit):
        raise WireRefused
    return value
