"""A strict reader of the Prometheus text exposition format 0.0.4, written from its description."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)')
_KINDS = {"counter", "gauge", "histogram", "summary", "untyped"}

Labels = tuple[tuple[str, str], ...]


class Malformed(Exception):
    """What is wrong, and in which line."""


@dataclass
class Family:
    """One family: its type, words, and samples by name and labels."""

    name: str
    words: str | None = None
    kind: str = "untyped"
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, **labels: str) -> float:
        """Return the value of the sample of the family's own name with exactly these labels."""
        return self.samples[self.name, tuple(sorted(labels.items()))]


def read(text: str) -> dict[str, Family]:
    """Read all of it. Raises Malformed."""
    if not text.endswith("\n"):
        raise Malformed("the last line has no end")
    families: dict[str, Family] = {}
    current: Family | None = None
    for number, line in enumerate(text[:-1].split("\n"), 1):
        try:
            current = _line(line, families, current)
        except (Malformed, ValueError) as error:
            raise Malformed(f"line {number}: {error}: {line!r}") from error
    for family in families.values():
        _check(family)
    return families


def _line(line: str, families: dict[str, Family], current: Family | None) -> Family | None:
    if line.startswith(("# HELP ", "# TYPE ")):
        _, what, name, rest = line.split(" ", 3)
        if not re.fullmatch(_NAME, name):
            raise Malformed("no name")
        if current is None or current.name != name:
            if name in families:
                raise Malformed("the family was there before: its lines are one group")
            current = families[name] = Family(name)
        if current.samples:
            raise Malformed("after its samples")
        if what == "HELP":
            if current.words is not None:
                raise Malformed("HELP twice")
            if re.search(r"\\(?![\\n])", rest):
                raise Malformed("an escape that is none")
            current.words = rest
        else:
            if current.kind != "untyped" or rest not in _KINDS:
                raise Malformed("TYPE twice, or no type")
            current.kind = rest
        return current
    if line.startswith("#"):
        return current
    match = _SAMPLE.fullmatch(line)
    if match is None:
        raise Malformed("no sample")
    name, inside, value = match.groups()
    if current is None or not _belongs(name, current):
        raise Malformed("a sample outside of its family")
    key = (name, _labels(inside or ""))
    if key in current.samples:
        raise Malformed("the same sample twice")
    current.samples[key] = _number(value)
    return current


def _belongs(name: str, family: Family) -> bool:
    if family.kind == "histogram":
        return name in {f"{family.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
    return name == family.name


def _labels(inside: str) -> Labels:
    found, at = {}, 0
    while at < len(inside):
        match = _LABEL.match(inside, at)
        if match is None:
            raise Malformed("labels")
        if match[1] in found:
            raise Malformed("a label twice")
        found[match[1]] = re.sub(r"\\(.)", lambda each: {"n": "\n"}.get(each[1], each[1]), match[2])
        at = match.end()
    return tuple(sorted(found.items()))


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?Inf|NaN", text):
        raise Malformed("no number")
    return float(text)


def _check(family: Family) -> None:
    if family.words is None or family.kind == "untyped":
        raise Malformed(f"{family.name}: HELP or TYPE is missing")
    if family.kind == "counter":
        if not family.name.endswith("_total"):
            raise Malformed(f"{family.name}: a counter ends in _total")
        if any(value < 0 or not math.isfinite(value) for value in family.samples.values()):
            raise Malformed(f"{family.name}: a counter below zero")
    if family.kind == "histogram":
        _check_histogram(family)


def _check_histogram(family: Family) -> None:
    buckets: dict[Labels, list[tuple[float, float]]] = {}
    for (name, labels), value in family.samples.items():
        if name.endswith("_bucket"):
            bound = dict(labels)["le"]
            rest = tuple(each for each in labels if each[0] != "le")
            buckets.setdefault(rest, []).append((float(bound.replace("+Inf", "inf")), value))
    for labels, found in buckets.items():
        bounds, counts = [each[0] for each in found], [each[1] for each in found]
        if bounds != sorted(set(bounds)) or bounds[-1] != math.inf:
            raise Malformed(f"{family.name}: bounds are not in order, or do not end in +Inf")
        if counts != sorted(counts):
            raise Malformed(f"{family.name}: buckets are not cumulative")
        if family.samples[f"{family.name}_count", labels] != counts[-1]:
            raise Malformed(f"{family.name}: the count is not that of +Inf")
        if (f"{family.name}_sum", labels) not in family.samples:
            raise Malformed(f"{family.name}: no sum")
