"""Trust policies (c2sp.org/tlog-policy): which logs and witnesses are known, and how many must have cosigned.

The specification accepts a checkpoint signed by any listed log key. This verifier asks more: of every algorithm
that a policy lists under one origin, a key must have signed. Several keys of one algorithm are those of a log
whose keys were changed; the comment `#last-size <vkey> <n>` says that the key signed no tree larger than n, so that
what a retired key signs later counts for nothing. Other programs pass over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from vault.ledger.errors import LedgerProofRefused
from vault.ledger.vkeys import Algorithm, VerifierKey

MAX_POLICY = 1 << 20
NO_QUORUM = "none"
LAST_SIZE = "#last-size"
_LOG_ALGORITHMS = frozenset({Algorithm.ED25519, Algorithm.ML_DSA_44})
_WITNESS_ALGORITHMS = frozenset({Algorithm.ED25519_COSIGNATURE, Algorithm.ML_DSA_44})


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and groups of which some must have cosigned.

    Attributes:
        threshold: how many.
        members: names of witnesses and groups.
    """

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy read from its text.

    Attributes:
        logs: keys of the known logs; the name of each is an origin.
        witnesses: keys of the known witnesses by their name in the policy.
        groups: groups by name.
        quorum: name of the witness or group that must have cosigned, or `none`.
        urls: submission prefixes of the witnesses that have one, by their name in the policy.
        last_sizes: of log keys that were replaced, the largest tree each of them signed, by vkey.
    """

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    quorum: str = NO_QUORUM
    urls: Mapping[str, str] = field(default_factory=dict)
    last_sizes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | bytes) -> Policy:
        """Read a policy file.

        Raises:
            LedgerProofRefused: POLICY_INVALID with the line and what is wrong with it.
        """
        reader = _Reader()
        for number, line in enumerate(_lines(text), start=1):
            words = line.replace("\t", " ").split(" ")
            reader.read(number, [word for word in words if word])
        return reader.policy()

    @classmethod
    def from_vkeys(cls, text: str | bytes) -> Policy:
        """Make the policy that trusts the log keys of a file, one vkey a line, and asks for no witness.

        Lines that begin with `#` are read as in a policy.

        Raises:
            LedgerProofRefused: POLICY_INVALID.
        """
        reader = _Reader()
        for number, line in enumerate(_lines(text), start=1):
            if word := line.strip(" \t"):
                reader.read(number, word.split() if word.startswith("#") else ["log", word])
        reader.read(0, ["quorum", NO_QUORUM])
        return reader.policy()

    def log_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """Return the keys listed for an origin, none when the log is unknown."""
        return tuple(key for key in self.logs if key.name == origin)

    def of_logs(self) -> Policy:
        """Return the policy with the same log keys that asks for no witness and knows none."""
        return Policy(logs=self.logs, last_sizes=self.last_sizes)

    def is_met(self, cosigned: Set[str]) -> bool:
        """Tell whether the quorum is met by these witnesses (names of the policy)."""
        return self.quorum == NO_QUORUM or self._met(self.quorum, cosigned)

    def _met(self, name: str, cosigned: Set[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._met(member, cosigned) for member in group.members) >= group.threshold

    def text(self) -> str:
        """Write the policy file."""
        lines = [f"log {key.vkey}" for key in self.logs]
        lines += self._last_size_lines()
        for name, key in self.witnesses.items():
            url = self.urls.get(name)
            lines.append(f"witness {name} {key.vkey}" + (f" {url}" if url else ""))
        lines += [f"group {name} {g.threshold} {' '.join(g.members)}" for name, g in self.groups.items()]
        return "".join(f"{line}\n" for line in [*lines, f"quorum {self.quorum}"])

    def vkeys_text(self) -> str:
        """Write the file that `from_vkeys` reads: the log keys alone."""
        return "".join(f"{line}\n" for line in [*(key.vkey for key in self.logs), *self._last_size_lines()])

    def _last_size_lines(self) -> list[str]:
        return [f"{LAST_SIZE} {vkey} {size}" for vkey, size in self.last_sizes.items()]


def origins(policy: Policy) -> tuple[str, ...]:
    """Return the origins of the known logs, each once, in their order."""
    return tuple(dict.fromkeys(key.name for key in policy.logs))


def policy_text(vkeys: Iterable[str]) -> str:
    """Write the policy that trusts these log keys and asks for no witness."""
    return "".join(f"log {vkey}\n" for vkey in vkeys) + f"quorum {NO_QUORUM}\n"


def _invalid(number: int, detail: str) -> LedgerProofRefused:
    return LedgerProofRefused("POLICY_INVALID", f"line {number}: {detail}", line=number)


def _lines(text: str | bytes) -> list[str]:
    """Split into lines; octets above 127 stay opaque, as the specification demands."""
    data = text.encode() if isinstance(text, str) else text
    if len(data) > MAX_POLICY:
        raise _invalid(0, "the file is too long")
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for number, line in enumerate(lines, start=1):
        if any((c < " " and c != "\t") or c == "\x7f" for c in line):
            raise _invalid(number, "control character")
    return lines


class _Reader:
    """Collects the lines of a policy, each checked against those before."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._witnesses: dict[str, VerifierKey] = {}
        self._groups: dict[str, Group] = {}
        self._urls: dict[str, str] = {}
        self._last_sizes: dict[str, int] = {}
        self._quorum: str | None = None
        self._taken: set[str] = set()

    def read(self, number: int, words: list[str]) -> None:
        """Take one line, split into words."""
        if not words or (words[0].startswith("#") and words[0] != LAST_SIZE):
            return
        match words:
            case [first, vkey, size] if first == LAST_SIZE:
                self._last_size(number, vkey, size)
            case ["log", vkey] | ["log", vkey, _]:
                key = self._key(number, vkey, _LOG_ALGORITHMS)
                if any(key.public == other.public for other in self._logs):
                    raise _invalid(number, "this log key stands twice")
                self._logs.append(key)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._witness(number, name, vkey, url)
            case ["group", name, threshold, *members]:
                self._group(number, name, threshold, members)
            case ["quorum", name]:
                if self._quorum is not None:
                    raise _invalid(number, "a second quorum line")
                if name != NO_QUORUM and name not in self._witnesses and name not in self._groups:
                    raise _invalid(number, "the quorum names nothing defined before")
                self._quorum = name
            case _:
                raise _invalid(number, "not a line of a policy")

    def policy(self) -> Policy:
        """Return the policy. A key that is both a log's and a witness's would count its own word twice."""
        if self._quorum is None:
            raise _invalid(0, "no quorum line")
        if {key.public for key in self._logs} & {key.public for key in self._witnesses.values()}:
            raise _invalid(0, "a key is listed as log and as witness")
        return Policy(
            tuple(self._logs), self._witnesses, self._groups, self._quorum, self._urls, self._last_sizes
        )

    def _last_size(self, number: int, vkey: str, size: str) -> None:
        if vkey in self._last_sizes or all(key.vkey != vkey for key in self._logs):
            raise _invalid(number, "the last size of no log key listed before, or a second one")
        if not size.isascii() or not size.isdigit() or size.startswith("0") or len(size) > 18:
            raise _invalid(number, "not a size")
        self._last_sizes[vkey] = int(size)

    def _witness(self, number: int, name: str, vkey: str, url: list[str]) -> None:
        self._new_name(number, name)
        key = self._key(number, vkey, _WITNESS_ALGORITHMS)
        if any(key.public == other.public for other in self._witnesses.values()):
            raise _invalid(number, "this witness key stands twice")
        self._witnesses[name] = key
        if url:
            self._urls[name] = url[0]

    def _new_name(self, number: int, name: str) -> None:
        if name == NO_QUORUM or name in self._witnesses or name in self._groups:
            raise _invalid(number, "this name is taken")

    @staticmethod
    def _key(number: int, vkey: str, allowed: frozenset[Algorithm]) -> VerifierKey:
        try:
            key = VerifierKey.parse(vkey)
        except LedgerProofRefused as error:
            raise _invalid(number, error.detail) from error
        if key.algorithm not in allowed:
            raise _invalid(number, "a key of this algorithm cannot stand here")
        return key

    def _group(self, number: int, name: str, threshold: str, members: list[str]) -> None:
        self._new_name(number, name)
        for member in members:
            if member not in self._witnesses and member not in self._groups:
                raise _invalid(number, "a member is not defined before")
            if member in self._taken:
                raise _invalid(number, "a member stands in a group twice")
            self._taken.add(member)
        count = {"any": "1", "all": str(len(members))}.get(threshold, threshold)
        if not count.isascii() or not count.isdigit() or count.startswith("0") or len(count) > 9:
            raise _invalid(number, "not a threshold")
        if not 1 <= int(count) <= len(members):
            raise _invalid(number, "the threshold is out of range")
        self._groups[name] = Group(int(count), tuple(members))
