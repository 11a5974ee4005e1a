"""Words about people, requests, documents and the service itself. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

_PEOPLE = {
    "UNKNOWN_HOLDER": Entry(
        404,
        "Ce titulaire n’a pas de coffre-fort ici.",
        "Vérifiez l’identifiant du titulaire.",
        "This holder has no safe here.",
        "Check the holder’s identifier.",
    ),
    "UNKNOWN_ADMINISTRATION": Entry(
        404,
        "Cette administration n’est pas connue ici.",
        "Vérifiez l’identifiant de l’administration.",
        "This administration is not known here.",
        "Check the administration’s identifier.",
    ),
    "NOT_FOUND": Entry(
        404,
        "Rien ne se trouve à cette adresse, ou rien que vous puissiez voir.",
        "Vérifiez l’adresse ou l’identifiant.",
        "There is nothing at this address, or nothing you may see.",
        "Check the address or the identifier.",
    ),
    "FORBIDDEN": Entry(
        403,
        "Vous n’avez pas le droit de faire cela.",
        "Si vous pensez que c’est une erreur, adressez-vous à l’administration concernée.",
        "You may not do this.",
        "If you think this is a mistake, ask the administration concerned.",
    ),
    "UNAUTHENTICATED": Entry(
        401,
        "Nous ne savons pas qui vous êtes.",
        "Connectez-vous, puis recommencez.",
        "We do not know who you are.",
        "Log in, then try again.",
    ),
    "PURPOSE_REQUIRED": Entry(
        422,
        "Il manque le motif de la consultation.",
        "Dites pourquoi vous consultez ce document : le motif est inscrit au journal des accès.",
        "The purpose of the reading is missing.",
        "Say why you read this document: the purpose is written in the access journal.",
    ),
}

_REQUESTS = {
    "IDEMPOTENCY_KEY_REQUIRED": Entry(
        400,
        "Il manque l’en-tête Idempotency-Key.",
        "Ajoutez une valeur au hasard, et gardez la même si vous devez répéter la demande.",
        "The Idempotency-Key header is missing.",
        "Add a random value, and keep the same one if you have to repeat the request.",
    ),
    "IDEMPOTENCY_KEY_INVALID": Entry(
        400,
        "La clé d’idempotence n’est pas acceptée.",
        "Utilisez des lettres, des chiffres et des tirets (un UUID convient).",
        "The idempotency key is not accepted.",
        "Use letters, digits and hyphens (a UUID will do).",
    ),
    "IDEMPOTENCY_KEY_REUSED": Entry(
        409,
        "Cette clé d’idempotence a déjà servi pour une autre demande.",
        "Prenez une clé nouvelle pour une demande nouvelle.",
        "This idempotency key was already used for another request.",
        "Take a new key for a new request.",
    ),
    "TWIN_RUNNING": Entry(
        409,
        "La même demande est en cours de traitement.",
        "Attendez quelques secondes, puis répétez-la avec la même clé : vous aurez sa réponse.",
        "The same request is being processed.",
        "Wait a few seconds, then repeat it with the same key: you will get its answer.",
    ),
    "STATE_CONFLICT": Entry(
        409,
        "L’état du document ne le permet pas ({current} ne peut pas devenir {wanted}).",
        "Relisez l’état du document avant de recommencer.",
        "The document’s state does not allow it ({current} cannot become {wanted}).",
        "Read the document’s state again before you retry.",
    ),
    "PRECONDITION_FAILED": Entry(
        412,
        "Le document a changé depuis votre dernière lecture.",
        "Relisez-le, puis recommencez.",
        "The document has changed since you last read it.",
        "Read it again, then retry.",
    ),
    "BODY_INVALID": Entry(
        422,
        "La demande n’a pas la forme attendue.",
        "Comparez-la à la description de l’interface (/docs).",
        "The request does not have the expected form.",
        "Compare it with the description of the interface (/docs).",
    ),
    "FIELD_INVALID": Entry(
        422,
        "Le champ « {field} » n’est pas accepté.",
        "Corrigez ce champ, puis recommencez.",
        "The field “{field}” is not accepted.",
        "Correct this field, then try again.",
    ),
    "JSON_INVALID": Entry(
        400,
        "Le texte reçu n’est pas du JSON.",
        "Corrigez sa syntaxe, puis recommencez.",
        "The text received is not JSON.",
        "Correct its syntax, then try again.",
    ),
    "JSON_DUPLICATE_KEY": Entry(
        400,
        "Le JSON contient deux fois la même clé : on ne sait laquelle croire.",
        "Gardez chaque clé une seule fois.",
        "The JSON holds the same key twice: nobody can tell which to believe.",
        "Keep each key once.",
    ),
    "JSON_TOO_LARGE": Entry(
        413,
        "Le JSON dépasse la taille permise ({limit_size}).",
        "Envoyez-en moins à la fois.",
        "The JSON is larger than allowed ({limit_size}).",
        "Send less at a time.",
    ),
    "ENCODING_INVALID": Entry(
        400,
        "Le texte reçu n’est pas en UTF-8.",
        "Enregistrez-le ou envoyez-le en UTF-8.",
        "The text received is not in UTF-8.",
        "Save it or send it as UTF-8.",
    ),
    "LENGTH_REQUIRED": Entry(
        411,
        "La taille de l’envoi n’est pas annoncée.",
        "Ajoutez l’en-tête Content-Length.",
        "The size of the upload is not announced.",
        "Add the Content-Length header.",
    ),
    "RANGE_INVALID": Entry(
        416,
        "La partie demandée n’existe pas dans ce fichier.",
        "Demandez une partie comprise dans sa taille.",
        "The part asked for does not exist in this file.",
        "Ask for a part within its size.",
    ),
    "METHOD_NOT_ALLOWED": Entry(
        405,
        "Cette adresse n’accepte pas cette méthode.",
        "Utilisez une méthode de la description de l’interface (/docs).",
        "This address does not accept this method.",
        "Use a method from the description of the interface (/docs).",
    ),
    "UNSUPPORTED_MEDIA_TYPE": Entry(
        415,
        "Cette adresse n’accepte pas ce type de contenu.",
        "Utilisez un type de la description de l’interface (/docs).",
        "This address does not accept this type of content.",
        "Use a type from the description of the interface (/docs).",
    ),
}

_DOCUMENTS = {
    "NOT_PUBLISHED": Entry(
        409,
        "Le document est reçu, mais pas encore scellé.",
        "Revenez dans quelques minutes : le scellement se fait de lui-même.",
        "The document is received, but not sealed yet.",
        "Come back in a few minutes: sealing happens by itself.",
    ),
    "RECEIPT_PENDING": Entry(
        409,
        "Le récépissé n’est pas encore prêt.",
        "Redemandez-le dans quelques secondes.",
        "The receipt is not ready yet.",
        "Ask for it again in a few seconds.",
    ),
    "KEYS_CHANGING": Entry(
        409,
        "Un changement de clés est en cours.",
        "Attendez qu’il soit achevé, puis recommencez.",
        "A change of keys is under way.",
        "Wait until it is finished, then try again.",
    ),
    "KEYS_OVERLAPPING": Entry(
        409,
        "Les clés d’un changement précédent signent encore, jusqu’au {until}.",
        "Attendez cette date ; si des clés ont pu être volées, changez-les tout de suite avec « --overlap 0 ».",
        "The keys of an earlier change still sign, until {until}.",
        "Wait until then; if keys may be stolen, change them at once with `--overlap 0`.",
    ),
    "RETENTION_ACTIVE": Entry(
        409,
        "Ce document doit être gardé jusqu’au {until}.",
        "Il ne pourra être détruit qu’après cette date.",
        "This document must be kept until {until}.",
        "It can be destroyed only after that date.",
    ),
    "UNKNOWN_TEMPLATE": Entry(
        404,
        "Ce modèle de document n’existe pas.",
        "Choisissez un modèle de la liste de l’administration.",
        "This document template does not exist.",
        "Choose a template from the administration’s list.",
    ),
    "TEMPLATE_DATA_INVALID": Entry(
        422,
        "Le champ « {field} » ne convient pas au modèle.",
        "Corrigez ce champ, puis recommencez.",
        "The field “{field}” does not suit the template.",
        "Correct this field, then try again.",
    ),
    "TEMPLATE_INVALID": Entry(
        500,
        "Le modèle de document ne peut pas être composé.",
        "L’administration doit corriger ce modèle.",
        "The document template cannot be typeset.",
        "The administration must correct this template.",
    ),
    "DOCUMENT_DESTROYED": Entry(
        410,
        "Ce document a été détruit ; il ne peut plus être lu par personne.",
        "Le registre garde la preuve de son existence et de sa destruction.",
        "This document was destroyed; nobody can read it any more.",
        "The ledger keeps the proof of its existence and of its destruction.",
    ),
}

_AGAIN_FR = (
    "Rien n’a été promis ni perdu : recommencez dans quelques minutes, avec la même clé d’idempotence."
)
_AGAIN_EN = "Nothing was promised or lost: try again in a few minutes, with the same idempotency key."
_OPERATOR_FR = "L’exploitant du service doit intervenir ; signalez-lui l’heure de l’incident."
_OPERATOR_EN = "The operator of the service must act; tell them the time of the incident."

_SERVICE = {
    "STORAGE_UNAVAILABLE": Entry(
        503, "Le stockage ne répond pas.", _AGAIN_FR, "The storage does not answer.", _AGAIN_EN
    ),
    "DATABASE_UNAVAILABLE": Entry(
        503, "La base de données ne répond pas.", _AGAIN_FR, "The database does not answer.", _AGAIN_EN
    ),
    "LEDGER_UNAVAILABLE": Entry(
        503, "Le registre ne répond pas.", _AGAIN_FR, "The ledger does not answer.", _AGAIN_EN
    ),
    "LOG_STORE_UNAVAILABLE": Entry(
        503,
        "Le registre publié ne répond pas.",
        _AGAIN_FR,
        "The published ledger does not answer.",
        _AGAIN_EN,
    ),
    "WITNESSES_UNAVAILABLE": Entry(
        503,
        "Trop peu de témoins du registre répondent.",
        _AGAIN_FR,
        "Too few witnesses of the ledger answer.",
        _AGAIN_EN,
    ),
    "TSA_UNAVAILABLE": Entry(
        503,
        "L’horodatage ne répond pas.",
        _AGAIN_FR,
        "The timestamp authority does not answer.",
        _AGAIN_EN,
    ),
    "KEY_UNAVAILABLE": Entry(
        503,
        "La clé de scellement ne répond pas.",
        _AGAIN_FR,
        "The sealing key does not answer.",
        _AGAIN_EN,
    ),
    "REVOCATION_STALE": Entry(
        503,
        "Les données de révocation nécessaires au cachet ne sont pas à jour.",
        _AGAIN_FR,
        "The revocation data that a seal needs are not current.",
        _AGAIN_EN,
    ),
    "ANCHOR_PUT_OFF": Entry(
        503,
        "La datation extérieure du registre est remise à plus tard.",
        _AGAIN_FR,
        "Dating the ledger from outside is put off.",
        _AGAIN_EN,
    ),
    "BUSY": Entry(503, "Le service est très sollicité.", _AGAIN_FR, "The service is very busy.", _AGAIN_EN),
    "INTERNAL": Entry(
        500, "Une erreur interne s’est produite.", _AGAIN_FR, "An internal error happened.", _AGAIN_EN
    ),
    "TSA_CLOCK": Entry(
        503,
        "L’horodatage et l’horloge du service ne sont pas d’accord.",
        _AGAIN_FR,
        "The timestamp authority and the service’s clock disagree.",
        _AGAIN_EN,
    ),
    # The words of every code without its own: inner failures (LedgerError, SettingsRefused) that only an
    # operator can act on; their detail goes to the log, not to the caller.
    "OPERATOR_NEEDED": Entry(
        500,
        "Le service a trouvé une incohérence dans ses propres données ou réglages et s’est arrêté.",
        _OPERATOR_FR,
        "The service found an inconsistency in its own data or settings and stopped.",
        _OPERATOR_EN,
    ),
    "ORIGINAL_DAMAGED": Entry(
        500,
        "L’original gardé ici n’a plus son empreinte : il n’est pas rendu.",
        _OPERATOR_FR,
        "The original kept here no longer has its digest: it is not handed out.",
        _OPERATOR_EN,
    ),
}

REQUESTS = {
    **_PEOPLE,
    **_REQUESTS,
    **_DOCUMENTS,
    **_SERVICE,
}
