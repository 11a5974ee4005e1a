"""Where a PDF says that it is signed: fields, widgets that no field tree holds, permission entries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pikepdf

from signing.pdf_reader import walk_tree

_MAX_DEPTH = 64
Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that claims to be a signature.

    Attributes:
        name: of its field, partial; "" when it has none.
        value: what stands for the signature; None where it was written but cannot be read.
        node: the field or widget; None for a permission entry.
        usage_rights: a usage-rights entry (ISO 32000-1, 12.8.2.3), which says nothing of the document.
        doubtful: another field has the same name or the same value, so that which of them is shown is open.
    """

    name: str
    value: Any
    node: Any = None
    usage_rights: bool = False
    doubtful: bool = False


def claims(root: Any, is_lost: Callable[[Any], bool]) -> Iterator[Claim]:
    """Yield everything that claims to be a signature, each object once.

    Fields come first, then widgets that no field tree holds, then permission signatures without field: what a
    viewer may show as a signature must not stay out of the verdict.

    Args:
        root: the catalog.
        is_lost: tells whether a signature field that reads as empty was written with a value.
    """
    nodes = list(_nodes(root))
    doubtful = _doubtful(nodes)
    seen: set[Identity] = set()
    for node in nodes:
        value = node.get("/V")
        name = _text(node.get("/T"))
        if not isinstance(value, pikepdf.Dictionary):
            if _is_signature(node) and (value is not None or is_lost(node)):
                yield Claim(name, value, node)
            continue
        identity = _identity(value) or _identity(node)
        if identity is None or identity not in seen:
            if identity is not None:
                seen.add(identity)
            yield Claim(name, value, node, doubtful=identity in doubtful)
    permissions = root.get("/Perms")
    for key in ("/DocMDP", "/UR3", "/UR"):
        value = None if permissions is None else permissions.get(key)
        if isinstance(value, pikepdf.Dictionary) and (not value.is_indirect or value.objgen not in seen):
            seen.add(value.objgen)
            yield Claim("", value, usage_rights=key != "/DocMDP")


def _identity(item: Any) -> Identity | None:
    return item.objgen if item.is_indirect else None


def _nodes(root: Any) -> Iterator[Any]:
    """Yield the fields in order, then the widgets with a value that are not among them."""
    form = root.get("/AcroForm")
    fields = None if form is None else form.get("/Fields")
    seen: set[Identity | None] = set()
    if isinstance(fields, pikepdf.Array):
        for _, node in walk_tree(list(fields)):
            seen.add(_identity(node))
            yield node
    seen.discard(None)
    for _, page in walk_tree([root.get("/Pages")]):
        annotations = page.get("/Annots")
        if isinstance(annotations, pikepdf.Array):
            for widget in annotations:
                if not isinstance(widget, pikepdf.Dictionary) or _identity(widget) in seen:
                    continue
                for node in _line(widget):
                    identity = _identity(node)
                    if identity not in seen and ("/V" in node or _is_signature(node)):
                        seen.add(identity)
                        seen.discard(None)
                        yield node


def _doubtful(nodes: list[Any]) -> set[Identity]:
    """Return the signature values of fields that share their full name or their value with another one."""
    names: dict[str, list[Any]] = {}
    values: dict[Identity, list[Any]] = {}
    for node in nodes:
        line = _line(node)
        if not _is_signature(node):
            continue
        partial = [text for text in (_text(item.get("/T")) for item in line) if text]
        if isinstance(node.get("/T"), pikepdf.String):
            names.setdefault(".".join(reversed(partial)), []).append(node)
        value = node.get("/V")
        if isinstance(value, pikepdf.Dictionary) and value.is_indirect:
            values.setdefault(value.objgen, []).append(node)
    found: set[Identity] = set()
    for identity, users in values.items():
        # A widget may repeat the value of its own field.
        if len(users) > 1 and not any(_is_parent(one, other) for one in users for other in users):
            found.add(identity)
    for same in names.values():
        if len(same) > 1:
            shown = [node.get("/V") for node in same]
            found.update(
                value.objgen if value.is_indirect else node.objgen
                for node, value in zip(same, shown, strict=True)
                if isinstance(value, pikepdf.Dictionary)
            )
    return found


def _is_signature(node: Any) -> bool:
    return any(item.get("/FT") == pikepdf.Name.Sig for item in _line(node))


def _is_parent(one: Any, other: Any) -> bool:
    parent = other.get("/Parent")
    return isinstance(parent, pikepdf.Dictionary) and parent.is_indirect and parent.objgen == one.objgen


def _line(node: Any) -> list[Any]:
    """Return a field and the fields above it."""
    line = [node]
    while len(line) < _MAX_DEPTH:
        parent = line[-1].get("/Parent")
        if not isinstance(parent, pikepdf.Dictionary):
            break
        line.append(parent)
    return line


def _text(value: Any) -> str:
    return str(value) if isinstance(value, pikepdf.String) else ""
