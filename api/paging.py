"""Lists in pages, newest first: the cursor is the number of the ledger entry that began the last item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from vault.errors import Refused

T = TypeVar("T")
Cursor = Annotated[str | None, Query(description="`next` of the page before.")]


def per_page(what: str) -> Any:
    """Describe the parameter that says how many items a page holds.

    Args:
        what: the items, in the plural, with a capital.
    """
    return Query(ge=1, le=100, description=f"{what} a page.")


def after_of(cursor: str | None) -> int | None:
    """Return the entry number before which a page begins; None for the first page. Raises Refused(FIELD_INVALID)."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 17):
        raise Refused("FIELD_INVALID", "not a cursor of this list", field="cursor")
    return int(cursor)


def page_of(found: Sequence[T], limit: int, seq_of: Callable[[T], int]) -> tuple[Sequence[T], str | None]:
    """Return the items of a page and the cursor of the next one.

    Args:
        found: one item more than the page holds, where there are more.
        limit: items a page.
        seq_of: returns the number of the entry that began an item.
    """
    items = found[:limit]
    return items, str(seq_of(items[-1])) if len(found) > limit else None
