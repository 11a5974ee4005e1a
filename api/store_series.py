"""Series about two stores, for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence

from vault.maintenance.catching_up import SiteFigures


def stores_text(stores: Sequence[SiteFigures]) -> str:
    """Return the series of the stores; nothing where there is one store."""
    if not stores:
        return ""
    up = [f'probans_store_up{{store="{each.name}"}} {int(each.up)}' for each in stores]
    owed = [
        f'probans_store_owed{{store="{each.name}"}} {each.owed}' for each in stores if each.owed is not None
    ]
    lines = [
        "# HELP probans_store_up Whether a store answered last.",
        "# TYPE probans_store_up gauge",
        *up,
        "# HELP probans_store_owed Things that a store lacks and the other one has.",
        "# TYPE probans_store_owed gauge",
        *owed,
    ]
    return "\n".join(lines) + "\n"
