"""The families of `/metrics` that processes count by themselves, and how those of several processes become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Series = dict[str, float]


def _farthest(values: Iterable[float]) -> float:
    """Return the value farthest from zero, with its sign."""
    return max(values, key=abs)


#: How the values of several processes become one.
_JOINED: Mapping[str, Callable[[Iterable[float]], float]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "far": _farthest,
}


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes:
        name: of the family.
        kind: `counter`, `gauge` or `histogram`.
        words: what it says.
        joined: how the values of several processes become one: `sum`, `max`, `min`, or `far` (from zero).
    """

    name: str
    kind: str
    words: str
    joined: str = "sum"


IN_FLIGHT, PROCESSES = "probans_requests_in_flight", "probans_processes"
STEP_BACKS = "probans_ledger_clock_step_backs_total"
FAMILIES = (
    Family("probans_requests_total", "counter", "Requests answered, by method, route and status."),
    Family("probans_request_seconds", "histogram", "Seconds from the first octet in to the last one out."),
    Family(IN_FLIGHT, "gauge", "Requests being answered now."),
    Family(PROCESSES, "gauge", "Processes that serve."),
    Family(STEP_BACKS, "counter", "How often the clock was found set back behind the ledger."),
    Family(
        "probans_timestamp_authority_state",
        "gauge",
        "Whether an authority is asked: 0 yes, 1 as a trial, 2 not for a while; the worst of all processes.",
        "max",
    ),
    Family("probans_timestamp_tokens_total", "counter", "Good tokens, by authority."),
    Family("probans_timestamp_failures_total", "counter", "Calls without a good token, by authority."),
    Family(
        "probans_timestamp_drift_seconds",
        "gauge",
        "By how much an authority's time is ahead of the service's clock; the most of all processes.",
        "far",
    ),
    Family(
        "probans_timestamp_certificate_days_left",
        "gauge",
        "Days until the first certificate of an authority's last token ends.",
        "min",
    ),
    Family("probans_database_connections", "gauge", "Connections of the pools: in use, and at most."),
    Family("probans_thread_alive", "gauge", "Processes in which a thread that must never end is alive."),
    Family("probans_task_runs_total", "counter", "Runs of background tasks that ended."),
    Family("probans_task_failures_total", "counter", "Of them, those that failed."),
    Family(
        "probans_task_failures_in_a_row", "gauge", "Failures since a task last went well; the most.", "max"
    ),
    Family(
        "probans_task_running_seconds", "gauge", "Seconds since a run under way began; the longest.", "max"
    ),
    Family(
        "probans_task_last_success_timestamp_seconds",
        "gauge",
        "When a task last went well, in seconds since 1970.",
        "max",
    ),
)
_OF = {family.name: family for family in FAMILIES}
_SUFFIXES = ("_bucket", "_sum", "_count")


def family_of(series: str) -> Family | None:
    """Return the family of a series such as `name{label="value"}`; None for none of ours."""
    name = series.partition("{")[0]
    for suffix in _SUFFIXES:
        found = _OF.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if found is not None and found.kind == "histogram":
            return found
    return _OF.get(name)


def is_gauge(series: str) -> bool:
    """Tell whether a series says how things are, not how often something was."""
    found = family_of(series)
    return found is None or found.kind == "gauge"


def joined(processes: Iterable[Mapping[str, float]]) -> Series:
    """Make one value of those of all processes."""
    found: dict[str, list[float]] = {}
    for series in processes:
        for name, value in series.items():
            found.setdefault(name, []).append(value)
    return {
        name: _JOINED[family.joined](values)
        for name, values in found.items()
        if (family := family_of(name)) is not None
    }


def written(total: Mapping[str, float]) -> str:
    """Write series in the text exposition format 0.0.4: families in order, buckets by their bound."""
    members: dict[str, list[str]] = {family.name: [] for family in FAMILIES}
    for name in total:
        family = family_of(name)
        if family is not None:
            members[family.name].append(name)
    lines = []
    for family in FAMILIES:
        lines += [f"# HELP {family.name} {family.words}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{name} {total[name]:.15g}" for name in sorted(members[family.name], key=_order)]
    return "\n".join(lines) + "\n"


def labelled(name: str, **labels: str) -> str:
    """Return the name of a series with labels."""
    inside = ",".join(f'{label}="{escaped(value)}"' for label, value in labels.items())
    return f"{name}{{{inside}}}"


def escaped(label: str) -> str:
    """Return the value of a label as it stands between quotation marks."""
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _order(series: str) -> tuple[str, int, float]:
    """Sort by labels, then buckets by bound, sum, count."""
    name, _, labels = series.partition("{")
    place = next((number for number, suffix in enumerate(_SUFFIXES) if name.endswith(suffix)), 0)
    rest, found, bound = labels.rpartition('le="')
    if not found or place:
        return labels.removesuffix("}"), place, 0.0
    return rest.removesuffix(","), place, float(bound.removesuffix('"}').replace("+Inf", "inf"))
