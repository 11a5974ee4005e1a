"""Words about a copy of everything, and notes on what is wrong. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

RIGHTS = {
    "EXPORT_LIMIT": Entry(
        429,
        "Vous avez déjà demandé {limit} exports en un jour.",
        "Reprenez le dernier, qui reste disponible 24 heures, ou revenez demain.",
        "You asked for {limit} exports within a day already.",
        "Take the newest one, which stays for 24 hours, or come back tomorrow.",
    ),
    "EXPORT_ENDED": Entry(
        410,
        "Cet export n’est plus disponible.",
        "Un export reste disponible 24 heures. Demandez-en un nouveau.",
        "This export is no longer available.",
        "An export is available for 24 hours. Ask for a new one.",
    ),
    "NOTE_LIMIT": Entry(
        409,
        "{limit} notes attendent déjà une réponse à ce sujet.",
        "Retirez-en une, ou attendez une réponse.",
        "{limit} notes about this wait for an answer already.",
        "Withdraw one, or wait for an answer.",
    ),
}
