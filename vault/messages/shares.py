"""Words about shares. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

SHARES = {
    "SHARE_REFUSED": Entry(
        404,
        "Ce code et ce second secret n’ouvrent aucun partage.",
        "Vérifiez les deux. Le partage peut aussi être échu, épuisé, retiré ou bloqué un moment après trop d’essais : "
        "demandez-le à la personne qui vous l’a donné.",
        "This code and this second secret open no share.",
        "Check both. The share may also be over, used up, withdrawn, or locked for a while after too many tries: ask "
        "the person who gave it to you.",
    ),
    "SHARE_ENDED": Entry(
        401,
        "Ce partage n’est pas ouvert, ou ne l’est plus.",
        "Tapez de nouveau le code et le second secret sur la page des codes de partage.",
        "This share is not open, or no longer.",
        "Type the code and the second secret again on the page of share codes.",
    ),
    "EVIDENCE_HOLDS_ORIGINAL": Entry(
        422,
        "Le dossier de preuve contient l’original : il ne va pas avec une copie marquée.",
        "Partagez l’original avec son dossier de preuve, ou la copie marquée sans lui : la page du code vérifie sur "
        "place dans les deux cas.",
        "The evidence bundle holds the original: it does not go with a watermarked copy.",
        "Share the original with its bundle, or the watermarked copy without it: the page of the code verifies in "
        "place either way.",
    ),
    "COPY_TYPE_UNSUPPORTED": Entry(
        422,
        "Aucune copie marquée ne peut être faite d’un fichier de ce type : {media_type}.",
        "Les PDF, JPEG et PNG le peuvent. Partagez l’original, ou déposez le document dans un de ces formats.",
        "No watermarked copy can be made of a file of this type: {media_type}.",
        "PDF, JPEG and PNG can. Share the original, or deposit the document in one of these formats.",
    ),
    "COPY_IMPOSSIBLE": Entry(
        422,
        "Aucune copie marquée ne peut être faite de ce fichier ({reason}).",
        "Demandez à la personne qui partage de donner l’original.",
        "No watermarked copy can be made of this file ({reason}).",
        "Ask the person who shares to give the original.",
    ),
}
