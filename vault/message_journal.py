"""Words about the access journal: purposes, proofs of lines, exports, reports. French first."""

from __future__ import annotations

from vault.message_entries import Entry

JOURNAL = {
    "PURPOSE_UNKNOWN": Entry(
        422,
        "Ce motif de consultation n’est pas de ceux de votre service.",
        "Choisissez l’un de ceux-ci : {purposes}. Vous pouvez le préciser en quelques mots.",
        "This purpose is none of your service’s.",
        "Choose one of these: {purposes}. You may add a few words.",
    ),
}
