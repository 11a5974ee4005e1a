"""The words of the page where share codes are typed, and of what they open; French first."""

from __future__ import annotations

SHARE_WORDS: dict[str, tuple[str, str]] = {
    "share_title": ("Ouvrir un partage", "Open a share"),
    "share_text": (
        "Tapez le code et le second secret que l’on vous a donnés : vous verrez ce qui est prouvé.",
        "Type the code and the second secret that you were given: you will see what is proven.",
    ),
    "share_code": ("Code de partage", "Share code"),
    "share_code_hint": (
        "20 caractères, par exemple sur une feuille imprimée. Majuscules, espaces et tirets ne comptent pas.",
        "20 characters, on a printed sheet for instance. Case, blanks and hyphens do not count.",
    ),
    "share_mistyped": (
        "Ce code comporte une faute de frappe : comparez-le avec celui que vous avez reçu.",
        "This code was mistyped: compare it with the one you were given.",
    ),
    "share_secret": ("Second secret", "Second secret"),
    "share_secret_hint": (
        "8 caractères, que la personne vous a dits, par téléphone par exemple.",
        "8 characters, that the person told you, by telephone for instance.",
    ),
    "share_open": ("Ouvrir", "Open"),
    "share_open_hint": (
        "Chaque ouverture est comptée et inscrite au journal que lit la personne qui partage.",
        "Each opening is counted, and written in the journal that the person who shares reads.",
    ),
    "share_seen_title": ("Documents partagés par {name}", "Documents shared by {name}"),
    "shared_of": ("de « {title} »", "of “{title}”"),
    "share_documents": ("Documents partagés", "Shared documents"),
    "share_compare": (
        "Comparez ces données avec ce que l’on vous a dit ou montré.",
        "Compare this with what you were told or shown.",
    ),
    "share_for": ("Pour", "For"),
    "share_purpose": ("Finalité", "Purpose"),
    "share_until": ("Jusqu’au", "Until"),
    "share_reference": ("Référence", "Reference"),
    "share_act": (
        "{issuer} a délivré ce document à {holder} ; il a été reçu le {date}.",
        "{issuer} issued this document to {holder}; it was received on {date}.",
    ),
    "share_attachment": (
        "{holder} a déposé ce document le {date} ; aucune administration ne l’a délivré ici. Il n’a pas changé depuis.",
        "{holder} submitted this document on {date}; no administration issued it here. It has not changed since.",
    ),
    "share_now_valid": ("Il est en vigueur au {now}.", "It is in force as of {now}."),
    "share_now_superseded": (
        "Il a été remplacé et n’est plus en vigueur : il n’est plus donné. Demandez celui qui le remplace.",
        "It was superseded and is no longer in force: it is given no more. Ask for the one that replaces it.",
    ),
    "share_now_revoked": (
        "Il a été révoqué par son administration et n’est plus en vigueur : il n’est plus donné.",
        "It was revoked by its administration and is no longer in force: it is given no more.",
    ),
    "share_now_destroyed": ("Il a été détruit.", "It was destroyed."),
    "share_verify": ("Vérifier l’original sur place", "Verify the original in place"),
    "share_verify_hint": (
        "Le service juge maintenant l’original, ses cachets et son inscription, sans qu’il quitte le coffre-fort.",
        "The service now judges the original, its seals and its ledger entry, without it leaving the safe.",
    ),
    "share_copy": ("Copie marquée", "Watermarked copy"),
    "share_copy_hint": (
        "La copie marquée n’a plus les cachets de l’original, ni valeur probante : fiez-vous à la vérification.",
        "The watermarked copy has no seals of the original and no probative value: rely on the verification.",
    ),
    "share_close": ("Fermer ce partage", "Close this share"),
    "share_back": ("Retour aux documents partagés", "Back to the shared documents"),
}
