"""Words about people, systems and what they may ask. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

TELL_ONCE = {
    "REQUEST_ENDED": Entry(
        409,
        "Cette demande n’attend plus de réponse.",
        "Elle a reçu sa réponse, a été retirée ou est échue. L’administration peut en faire une nouvelle.",
        "This request no longer waits for an answer.",
        "It was answered or taken back, or its time is over. The administration can make a new one.",
    ),
    "DOCUMENT_TYPE_REFUSED": Entry(
        422,
        "Ce document n’est pas d’un type demandé.",
        "Choisissez un document d’un des types demandés, ou déposez-le sous ce type.",
        "This document is not of a type that was asked for.",
        "Choose a document of one of the types asked for, or deposit it under that type.",
    ),
    "DOCUMENT_NOT_IN_FORCE": Entry(
        409,
        "Ce document n’est plus en vigueur : il a été remplacé, révoqué ou détruit.",
        "Choisissez celui qui le remplace, ou demandez un nouvel acte à son administration.",
        "This document is no longer in force: it was replaced, revoked or destroyed.",
        "Choose the one that replaces it, or ask its administration for a new act.",
    ),
    "ATTRIBUTE_NOT_PROVEN": Entry(
        409,
        "Aucun acte en vigueur dans ce coffre n’établit ce qui est demandé.",
        "Cela ne prouve pas le contraire. Faites déposer l’acte par son administration, ou répondez autrement.",
        "No act in force in this safe proves what is asked.",
        "That does not prove the contrary. Have the act issued into the safe, or answer the other way.",
    ),
    "ATTRIBUTE_UNKNOWN": Entry(
        422,
        "Cet attribut n’existe pas : {attribute}.",
        "GET /v1/attributes donne ceux qui peuvent être demandés.",
        "There is no such attribute: {attribute}.",
        "GET /v1/attributes gives those that can be asked for.",
    ),
    "PURPOSE_NOT_CONSENTED": Entry(
        422,
        "Le titulaire n’a pas consenti à une lecture pour cette finalité.",
        "Lisez-le pour la finalité de votre demande, ou faites une nouvelle demande pour celle-ci.",
        "The holder did not consent to a read for this purpose.",
        "Read it for the purpose of your request, or make a new request for this one.",
    ),
    "SEALING_IMPOSSIBLE": Entry(
        500,
        "Le service ne peut pas apposer son cachet en ce moment.",
        "Réessayez plus tard ; l’exploitant est prévenu par son journal.",
        "The service cannot put its seal on anything now.",
        "Try again later; the operator is told by the log.",
    ),
    "SEAL_PENDING": Entry(
        409,
        "Le retrait est effectif ; son cachet attend un horodatage.",
        "Revenez dans quelques minutes pour télécharger la pièce scellée.",
        "The withdrawal is in effect; its seal waits for a timestamp.",
        "Come back in a few minutes to download the sealed paper.",
    ),
}
SAFES = {
    "SAFE_CLOSED": Entry(
        409,
        "Ce coffre est clos ou en cours de clôture : il ne reçoit ni ne donne plus rien par ce moyen.",
        "Administration : notifiez sur papier. Titulaire ou proche : adressez-vous au délégué à la protection des "
        "données ou au guichet.",
        "This safe is closed, or being closed: nothing goes in or out of it this way any more.",
        "Administrations: notify on paper. Holders and relatives: turn to the data-protection officer or the counter.",
    ),
    "SAFE_EXISTS": Entry(
        409,
        "Ce titulaire a déjà un coffre, décrit autrement.",
        "Vérifiez le nom, la nature et le numéro au registre.",
        "This holder has a safe already, which is described otherwise.",
        "Check the name, the kind and the register number.",
    ),
    "CLOSURE_RUNNING": Entry(
        409,
        "Une clôture de ce coffre est déjà demandée, en cours ou faite.",
        "Consultez celle qui existe, ou annulez-la d’abord.",
        "A closure of this safe was asked for already, is under way or done.",
        "Look at the one there is, or cancel it first.",
    ),
}
PEOPLE = {
    **SAFES,
    **TELL_ONCE,
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
