"""Words about people, systems and what they may ask. French first."""

from __future__ import annotations

from vault.message_entries import Entry

PEOPLE = {
    "RATE_LIMITED": Entry(
        429,
        "Trop de demandes en peu de temps.",
        "Attendez {retry_after} s, puis recommencez.",
        "Too many requests in a short time.",
        "Wait {retry_after} s, then try again.",
    ),
    "CLIENT_REFUSED": Entry(
        401,
        "Le logiciel qui appelle n’a pas prouvé son identité.",
        "Vérifiez sa clé, son identifiant et l’heure de sa machine ; l’exploitant voit la cause dans son journal.",
        "The software that calls has not proven who it is.",
        "Check its key, its identifier and the clock of its machine; the operator sees the cause in the log.",
    ),
    "SCOPE_REFUSED": Entry(
        400,
        "Ce logiciel n’est pas inscrit pour tout ce qu’il demande.",
        "Demandez moins, ou faites-le inscrire pour davantage par l’exploitant.",
        "This software is not registered for all that it asks.",
        "Ask for less, or have the operator register it for more.",
    ),
    "GRANT_REFUSED": Entry(
        400,
        "Cette façon de demander un jeton n’existe pas ici.",
        "Un logiciel emploie « client_credentials ».",
        "This way of asking for a token does not exist here.",
        "Software uses `client_credentials`.",
    ),
    "UNKNOWN_SYSTEM": Entry(
        404,
        "Aucun logiciel n’est inscrit sous cet identifiant.",
        "Vérifiez l’identifiant : « probans systems list » les donne tous.",
        "No software is registered under this identifier.",
        "Check the identifier: `probans systems list` gives them all.",
    ),
    "KEY_REFUSED": Entry(
        422,
        "Cette clé ou ce certificat ne peut pas être inscrit.",
        "Donnez la clé publique seule (P-256, Ed25519 ou RSA dès 2048 bits) ou le certificat, en PEM ou en JWK.",
        "This key or certificate cannot be registered.",
        "Give the public key alone (P-256, Ed25519 or RSA from 2048 bits) or the certificate, as PEM or JWK.",
    ),
}
