"""Words about the access journal: purposes, proofs of lines, exports, reports. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

JOURNAL = {
    "PURPOSE_UNKNOWN": Entry(
        422,
        "Ce motif de consultation n’est pas de ceux de votre service.",
        "Choisissez l’un de ceux-ci : {purposes}. Vous pouvez le préciser en quelques mots.",
        "This purpose is none of your service’s.",
        "Choose one of these: {purposes}. You may add a few words.",
    ),
    "REPORT_EXISTS": Entry(
        409,
        "Cet accès est déjà signalé.",
        "Suivez le signalement {report}, ou rouvrez-le si la réponse ne suffit pas.",
        "This access has been reported already.",
        "Follow the report {report}, or reopen it if the answer is not enough.",
    ),
    "REPORT_FULL": Entry(
        409,
        "Ce signalement a atteint {limit} échanges.",
        "Clôturez-le, puis signalez l’accès à nouveau.",
        "This report has reached {limit} exchanges.",
        "Close it, then report the access again.",
    ),
}
