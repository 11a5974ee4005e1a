"""Typesets acts from data and a template: PDF/A-2a and PDF/UA-1 in one file, same bytes for the same input.

A template is a folder (`vault/documents/templates/README.md` says what is in it). A folder of templates that an
administration adds is searched before the built-in ones. Nothing of the machine shows in the result: no
system fonts, no clock, no network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import typst

from vault.documents.template_data import check_data
from vault.errors import NotFound, Refused

BUILT_IN = Path(__file__).resolve().parent / "templates"

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MAX_NAME = 64
# A package specification as Typst spells it: the compiler would fetch it.
_PACKAGE = re.compile(rb"@[A-Za-z0-9_-]+/[A-Za-z0-9_-]+:[0-9]")


def template_names(*, folder: Path | None = None) -> tuple[str, ...]:
    """List the templates at hand.

    Args:
        folder: templates an administration added.

    Returns:
        Their names, sorted, each once.
    """
    roots = [root for root in (folder, BUILT_IN) if root is not None and root.is_dir()]
    return tuple(sorted({entry.name for root in roots for entry in root.iterdir() if _is_template(entry)}))


def template_schema(template: str, *, folder: Path | None = None) -> dict[str, Any]:
    """Read the schema of the data a template takes.

    Args:
        template: its name.
        folder: templates an administration added.

    Returns:
        The schema, in the part of JSON Schema that `vault.documents.template_data` knows.

    Raises:
        NotFound: UNKNOWN_TEMPLATE.
        Refused: TEMPLATE_INVALID when the file is not a JSON object.
    """
    return _read_object(_find(template, folder) / "schema.json", template)


def specimen_data(template: str, *, folder: Path | None = None) -> dict[str, Any]:
    """Read the invented data a template comes with, marked SPÉCIMEN.

    Args:
        template: its name.
        folder: templates an administration added.

    Returns:
        Data that `render` takes.

    Raises:
        NotFound: UNKNOWN_TEMPLATE.
        Refused: TEMPLATE_INVALID when the file is not a JSON object.
    """
    return _read_object(_find(template, folder) / "specimen.json", template)


def render(template: str, data: Mapping[str, Any], *, at: datetime, folder: Path | None = None) -> bytes:
    """Typeset an act.

    Args:
        template: name of the template.
        data: its fields, as its schema says.
        at: aware instant written as the creation date; seconds count, fractions do not.
        folder: templates an administration added, searched before the built-in ones.

    Returns:
        A PDF that is PDF/A-2a (ISO 19005-2) and PDF/UA-1 (ISO 14289-1); equal arguments give equal bytes.

    Raises:
        NotFound: UNKNOWN_TEMPLATE.
        Refused: TEMPLATE_DATA_INVALID when the data do not fit the schema or hold a character no font at hand
            shows; TEMPLATE_INVALID when the template is at fault: it does not compile, reaches outside its
            folder, asks for a package, or makes a page the two standards refuse.
        ValueError: `at` has no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the instant of an act needs a time zone")
    place = _find(template, folder)
    check_data(_read_object(place / "schema.json", template), data)
    if any(_PACKAGE.search(source.read_bytes()) for source in place.rglob("*.typ")):
        raise Refused("TEMPLATE_INVALID", "packages are not fetched: copy the code in", template=template)
    try:
        made = typst.compile(
            place / "template.typ",
            root=place,
            font_paths=_fonts(place / "fonts"),
            ignore_system_fonts=True,
            format="pdf",
            sys_inputs={"data": json.dumps(data, ensure_ascii=False)},
            pdf_standards=["a-2a", "ua-1"],
            timestamp=int(at.timestamp()),
        )
    except RuntimeError as error:  # TypstError, and what its binding raises before compiling
        raise _refusal(error, template) from error
    return bytes(made)


def _refusal(error: RuntimeError, template: str) -> Refused:
    """Tell data at fault from a template at fault, by the compiler's words."""
    message = str(getattr(error, "message", error))
    if "could not be displayed" in message:
        return Refused(
            "TEMPLATE_DATA_INVALID",
            "data: has a character no font at hand shows",
            field="data",
            problem=message,
        )
    return Refused("TEMPLATE_INVALID", f"{template}: {message}", template=template, problem=message)


def _is_template(place: Path) -> bool:
    return (
        len(place.name) <= _MAX_NAME
        and _NAME.fullmatch(place.name) is not None
        and (place / "template.typ").is_file()
    )


def _find(template: str, folder: Path | None) -> Path:
    """Find a template's folder. The name's shape is checked first: it never leaves the folders searched."""
    if _NAME.fullmatch(template) and len(template) <= _MAX_NAME:
        for root in (folder, BUILT_IN):
            if root is not None and _is_template(root / template):
                return (root / template).resolve()
    raise NotFound("UNKNOWN_TEMPLATE", "no template of this name")


def _read_object(path: Path, template: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Refused("TEMPLATE_INVALID", f"{template}/{path.name}: {error}", template=template) from error
    if not isinstance(found, dict):
        raise Refused("TEMPLATE_INVALID", f"{template}/{path.name}: not an object", template=template)
    return found


@lru_cache(maxsize=16)
def _fonts(own: Path) -> typst.Fonts:
    """Load the built-in fonts and a template's own, once: loading costs more than typesetting a page."""
    return typst.Fonts(include_system_fonts=False, font_paths=[own] if own.is_dir() else [])
