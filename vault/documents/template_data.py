"""Checks the data of an act against its template's schema: the part of JSON Schema that forms need."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from vault.errors import Refused

MAX_DEPTH = 12

_TYPES: dict[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
_BY_TYPE: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "enum"}),
    "boolean": frozenset(),
    "integer": frozenset({"enum"}),
}
# Controls, and marks that make a reader see another order than the text has: in a certified act what is seen
# and what is written must be the same. Line feed and the joiners that several scripts need stay allowed.
_DECEIVING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def _refuse(where: str, problem: str) -> Refused:
    """Build the refusal; it names the field and the rule, never the value."""
    return Refused(
        "TEMPLATE_DATA_INVALID", f"{where or 'data'}: {problem}", field=where or "data", problem=problem
    )


def check_data(schema: Mapping[str, Any], data: object) -> None:
    """Check data against a schema.

    Args:
        schema: `type` with its keywords: object (`properties`, `required`), array (`items`, `minItems`,
            `maxItems`), string (`minLength`, `maxLength`, `enum`), boolean, integer (`enum`); `description`
            anywhere. Members that `properties` does not name are refused.
        data: what a JSON reader gives.

    Raises:
        Refused: TEMPLATE_DATA_INVALID with `field` (path such as `parents[1].home`) and `problem`;
            TEMPLATE_INVALID when the schema itself uses anything else.
    """
    _check(schema, data, "", 0)


def _check(schema: Mapping[str, Any], value: object, where: str, depth: int) -> None:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if not isinstance(kind, str) or kind not in _TYPES or depth > MAX_DEPTH:
        raise Refused("TEMPLATE_INVALID", f"schema.json: no usable type at {where or 'the top'}")
    unknown = set(schema) - _BY_TYPE[kind] - {"type", "description"}
    if unknown:
        raise Refused(
            "TEMPLATE_INVALID", f"schema.json: unknown keyword {min(unknown)} at {where or 'the top'}"
        )
    # bool is an int in Python, not in JSON.
    if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
        raise _refuse(where, f"must be of type {kind}")
    if "enum" in schema and value not in schema["enum"]:
        raise _refuse(where, "is none of the values allowed")
    inner = _INNER.get(kind)
    if inner is not None:
        inner(schema, value, where, depth)


def _check_object(schema: Mapping[str, Any], value: Any, where: str, depth: int) -> None:
    properties = schema.get("properties", {})
    prefix = f"{where}." if where else ""
    for name in schema.get("required", ()):
        if name not in value:
            raise _refuse(f"{prefix}{name}", "is missing")
    for name, member in value.items():
        if name not in properties:
            raise _refuse(where, "has a member the template does not know")
        _check(properties[name], member, f"{prefix}{name}", depth + 1)


def _check_array(schema: Mapping[str, Any], value: Any, where: str, depth: int) -> None:
    _check_length(len(value), schema.get("minItems", 0), schema.get("maxItems"), where, "items")
    for index, item in enumerate(value):
        _check(schema.get("items", {}), item, f"{where}[{index}]", depth + 1)


def _check_string(schema: Mapping[str, Any], value: Any, where: str, _depth: int) -> None:
    _check_length(len(value), schema.get("minLength", 0), schema.get("maxLength"), where, "characters")
    found = _DECEIVING.search(value)
    if found:
        raise _refuse(where, f"has a control or invisible character, U+{ord(found[0]):04X}")


def _check_length(length: int, low: int, high: int | None, where: str, unit: str) -> None:
    if length < low:
        raise _refuse(where, f"has fewer than {low} {unit}")
    if high is not None and length > high:
        raise _refuse(where, f"has more than {high} {unit}")


_INNER: dict[str, Callable[[Mapping[str, Any], Any, str, int], None]] = {
    "object": _check_object,
    "array": _check_array,
    "string": _check_string,
}
