#!/usr/bin/env python3
"""Writes docs/access.md from vault/access.py and api/rules.py: `.venv/bin/python tools/access_doc.py`."""

from __future__ import annotations

from pathlib import Path

from api.rules import RULES
from vault.authorization.access_table import markdown

TARGET = Path(__file__).resolve().parents[1] / "docs" / "access.md"

_HEAD = """# Who may do what

Made from `vault/access.py` and `api/rules.py` by `tools/access_doc.py`; do not edit by hand. `probans access table`
prints the same from the program that runs (`--json`, `--markdown`).

What stands in no rule is refused. Every route asks one action, or stands at the end of this page; the server does not
start with a route that has no line. Whoever may not do something gets the same answer as for something that is not
there: 404 `NOT_FOUND`, or 401 `UNAUTHENTICATED` without a login. Which relations hold is found from the database and
the clock at the moment of the request, and for whatever writes an entry, reads included, once more in the transaction
that writes it: what ended in between opens nothing. A safe that is being closed, or is closed, takes rules away, never
adds one (`vault/authorization/closed_safes.py`).

In parentheses stand words of which one is needed besides: in the scope of the mandate, in the actions of the consent,
or in what the share gives. In brackets stands the scope that a system must be registered for.

"""

_TAIL = """
## How this is proven

`tests/integration/access/` takes the routes from the running application and asks each one as every kind of caller,
in every relation, on real documents, requests, consents, shares, mandates, cases and reports; what is measured must
equal this table, and a route that it does not know how to ask fails it. Refusals are compared octet by octet with the
answer for an identifier that nobody has. Every identifier of every route is replaced by another holder's, by one of
another kind and by malformed ones. Every route that reads is asked while the ledger stands still: nothing may leave.
"""


def document() -> str:
    """Return the whole page."""
    return _HEAD + markdown(RULES) + _TAIL


if __name__ == "__main__":
    TARGET.write_text(document(), encoding="utf-8")
    print(TARGET)
