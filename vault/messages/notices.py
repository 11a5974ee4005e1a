"""Words about notifications. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

NOTICES = {
    "ADDRESS_REFUSED": Entry(
        422,
        "Cette adresse n’est pas utilisable.",
        "Écrivez une adresse de courriel complète, ou un numéro avec l’indicatif du pays, comme +33612345678.",
        "This address cannot be used.",
        "Write a whole mail address, or a number with its country code, such as +33612345678.",
    ),
    "CHANNEL_UNAVAILABLE": Entry(
        503,
        "Ce service n’envoie rien par ce moyen.",
        "Choisissez un autre moyen d’être prévenu.",
        "This service sends nothing in this way.",
        "Choose another way to be told.",
    ),
    "CONTACTS_TOO_MANY": Entry(
        422,
        "Un coffre a au plus {limit} adresses.",
        "Retirez une adresse avant d’en ajouter une autre.",
        "A safe has at most {limit} addresses.",
        "Remove an address before adding another.",
    ),
    "CODES_TOO_MANY": Entry(
        429,
        "Trop de codes de confirmation ont été demandés depuis hier.",
        "Recommencez demain. Un code déjà reçu reste utilisable pendant 24 heures.",
        "Too many confirmation codes were asked for since yesterday.",
        "Try again tomorrow. A code you got stays usable for 24 hours.",
    ),
    "CODE_REFUSED": Entry(
        422,
        "Ce code n’est pas le bon, ou il ne vaut plus.",
        "Vérifiez le dernier message reçu, ou demandez un nouveau code.",
        "This is not the code, or it is no longer valid.",
        "Check the last message you got, or ask for a new code.",
    ),
    "REPORT_INVALID": Entry(
        422,
        "Ce message n’est pas un avis de non-remise que ce service a demandé.",
        "Ne transmettez que les avis de non-remise, adresse de réception comprise.",
        "This message is no delivery report that this service asked for.",
        "Pass on delivery reports only, with the address that they came to.",
    ),
}
