"""The table of a key cabinet: a JSON file that says which key does what, and where it lies.

`docs/keys.md` describes it. No secret stands in it: passphrases, PINs and private keys lie in files of their own.
Names of files are relative to the table's folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plumbing.disk import replace_durably
from plumbing.locks import in_turn, lock_file
from signing.base import KeyPurpose
from signing.errors import KeyUnusable

FORMAT = "probans/key-cabinet/v1"
WAITING, ACTIVE, RETIRED = "waiting", "active", "retired"
STATES = (WAITING, ACTIVE, RETIRED)
_MOST_OCTETS = 1 << 20
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
#: For each kind of source, its members: those that must be there, and those that may.
SOURCES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "pkcs12": (frozenset({"file", "passphrase_file"}), frozenset()),
    "token": (frozenset({"module", "key", "pin_file"}), frozenset({"token", "serial", "key_id"})),
    "csc": (
        frozenset({"address", "credential"}),
        frozenset({"bearer_file", "token_address", "client_id", "client_secret_file", "pin_file", "ca"}),
    ),
}
_REQUIRED = frozenset({"id", "purpose", "state", "source"})
_OPTIONAL = frozenset({"administration", "certificates"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One key.

    Attributes:
        id: what the operator calls it; unique in the table.
        purpose: what it does.
        state: `waiting`, `active` or `retired`.
        kind: of its source: `pkcs12`, `token` or `csc`.
        source: the other members of the source, as they stand in the table.
        administration: whose act seal it is; "" for the service's own keys.
        certificates: PEM file of its certificate and its issuers; "" while it waits.
    """

    id: str
    purpose: KeyPurpose
    state: str
    kind: str
    source: Mapping[str, str]
    administration: str = ""
    certificates: str = ""

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Raises KeyUnusable."""
        if not _ID.fullmatch(self.id):
            raise KeyUnusable(f"key {self.id!r}: an id has lower-case letters, digits, '.', '_' and '-'")
        if self.state not in STATES:
            raise KeyUnusable(f"key {self.id}: the state is one of {', '.join(STATES)}")
        if (self.purpose is KeyPurpose.ACT_SEAL) != bool(self.administration):
            raise KeyUnusable(f"key {self.id}: an administration goes with act seals, and with those alone")
        if bool(self.certificates) == (self.state == WAITING):
            raise KeyUnusable(f"key {self.id}: certificates belong to every key but one that waits for them")
        if self.kind not in SOURCES:
            raise KeyUnusable(f"key {self.id}: a source is one of {', '.join(SOURCES)}")
        required, optional = SOURCES[self.kind]
        if not required <= set(self.source) <= required | optional:
            raise KeyUnusable(f"key {self.id}: a source {self.kind} has {', '.join(sorted(required))}")


def read_table(path: Path) -> tuple[Entry, ...]:
    """Read a table.

    Raises:
        KeyUnusable: it cannot be read, is not in this form, or names a key twice.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_OCTETS + 1)
        raw = json.loads(content)
        if len(content) > _MOST_OCTETS or set(raw) != {"format", "keys"} or raw["format"] != FORMAT:
            raise KeyUnusable(f"{path.name} is not a key cabinet ({FORMAT})")
        entries = tuple(_entry(each) for each in raw["keys"])
    except OSError as error:
        raise KeyUnusable(f"the key cabinet {path.name} cannot be read") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise KeyUnusable(f"{path.name} is not a key cabinet: {error}") from error
    if len({each.id for each in entries}) != len(entries):
        raise KeyUnusable(f"{path.name} names a key twice")
    return entries


@contextmanager
def changing(path: Path) -> Iterator[list[Entry]]:
    """Give the entries of a table to be changed, and write them when that is done; changers take turns.

    A table that is not there is made.

    Raises:
        KeyUnusable: see `read_table`; or it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = lock_file(path.parent / f".{path.name}.lock")
    except OSError as error:
        raise KeyUnusable(f"the folder of {path.name} cannot be written") from error
    with in_turn(lock):
        entries = list(read_table(path)) if path.exists() else []
        before = list(entries)
        yield entries
        if entries != before:
            write_file(path, _encode(entries), 0o644)


def write_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put a file in its place, whole and durably. Raises KeyUnusable."""
    try:
        replace_durably(path, content, mode)
    except OSError as error:
        raise KeyUnusable(f"{path.name} cannot be written: {error.strerror}") from error


def _entry(raw: Mapping[str, Any]) -> Entry:
    if not _REQUIRED <= set(raw) <= _REQUIRED | _OPTIONAL:
        raise KeyUnusable(f"a key of the cabinet has {', '.join(sorted(_REQUIRED))}")
    source = dict(raw["source"])
    kind = source.pop("kind")
    texts = [kind, *source.values(), *(value for name, value in raw.items() if name != "source")]
    if not all(isinstance(each, str) and each for each in texts):
        raise KeyUnusable("what a key cabinet says of a key is text")
    return Entry(
        id=raw["id"],
        purpose=KeyPurpose(raw["purpose"]),
        state=raw["state"],
        kind=kind,
        source=source,
        administration=raw.get("administration", ""),
        certificates=raw.get("certificates", ""),
    )


def _encode(entries: Sequence[Entry]) -> bytes:
    keys = [
        {
            "id": each.id,
            "purpose": each.purpose.value,
            **({"administration": each.administration} if each.administration else {}),
            "state": each.state,
            "source": {"kind": each.kind, **each.source},
            **({"certificates": each.certificates} if each.certificates else {}),
        }
        for each in entries
    ]
    return json.dumps({"format": FORMAT, "keys": keys}, indent=2, ensure_ascii=False).encode() + b"\n"
