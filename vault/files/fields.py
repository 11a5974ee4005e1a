"""Checks of the short texts that accompany a file."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

from vault.domain.documents import NewDocument
from vault.errors import Refused
from vault.ids import looks_like_id

_MAX_TITLE = 300
_MAX_REFERENCE = 128
_TYPE = re.compile(r"[a-z0-9][a-z0-9-]{0,63}|")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*|")
# Cc, Cs, Co, Cn and the Cf characters that reorder or hide text have no place in a title.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def check_description(new: NewDocument) -> None:
    """Check every text of a description. Raises Refused(FIELD_INVALID) naming the field."""
    check_text("title", new.title, _MAX_TITLE, required=True)
    check_text("holder", new.holder, _MAX_REFERENCE, required=True)
    check_text("case", new.case, _MAX_REFERENCE)
    check_code("document_type", new.document_type)
    if len(new.language) > 35 or not _LANGUAGE.fullmatch(new.language):
        raise Refused("FIELD_INVALID", "a language tag such as fr or fr-MC", field="language")
    if new.supersedes is not None and not looks_like_id(new.supersedes, "doc"):
        raise Refused("FIELD_INVALID", "a document identifier", field="supersedes")


def check_code(field: str, value: str, *, required: bool = False) -> None:
    """Check a code such as a document type. Raises Refused(FIELD_INVALID) naming the field."""
    if not _TYPE.fullmatch(value) or (required and not value):
        raise Refused("FIELD_INVALID", "lower-case letters, digits and hyphens, at most 64", field=field)


def check_text(field: str, value: str, limit: int, *, required: bool = False) -> None:
    """Check a text that people will read: its length, and that nothing in it reorders, hides or ends a line.

    Args:
        field: name of the member, for the error.
        value: the text.
        limit: characters at most.
        required: whether it may be empty or blank.

    Raises:
        Refused: FIELD_INVALID naming the field.
    """
    if required and not value.strip():
        raise Refused("FIELD_INVALID", "must not be empty", field=field)
    if len(value) > limit:
        raise Refused("FIELD_INVALID", f"at most {limit} characters", field=field)
    # What can be printed has none of these categories.
    printable = value.isprintable()
    if not printable and any(unicodedata.category(each) in _REFUSED_CATEGORIES for each in value):
        raise Refused("FIELD_INVALID", "control and direction characters are not allowed", field=field)


def parse_instant(field: str, value: str) -> datetime:
    """Read an instant with its offset (RFC 3339) as UTC. Raises Refused(FIELD_INVALID) naming the field."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in value:
        raise Refused("FIELD_INVALID", "a date and time such as 2026-01-15T09:00:00Z", field=field)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Refused("FIELD_INVALID", "a date within the calendar", field=field) from None
