"""Words about cases. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

CASES = {
    "CASE_EXISTS": Entry(
        409,
        "Une démarche porte déjà cette référence.",
        "Retrouvez-la par sa référence, ou donnez-en une autre.",
        "A case has this reference already.",
        "Find it by its reference, or give another one.",
    ),
    "CASE_FULL": Entry(
        409,
        "Cette démarche a atteint {limit} étapes ou documents.",
        "Clôturez-la et ouvrez-en une autre qui y renvoie.",
        "This case has reached {limit} steps or documents.",
        "Close it and open another one that refers to it.",
    ),
}
