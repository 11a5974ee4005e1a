"""What each reason code means for somebody who is no specialist."""

from __future__ import annotations

from vault.evidence.explanations_pdf import FOREIGN_EXPLANATIONS, PDF_EXPLANATIONS

# code -> what it means for somebody who is no specialist, (French, English)
EXPLANATIONS: dict[str, tuple[str, str]] = {
    **PDF_EXPLANATIONS,
    **FOREIGN_EXPLANATIONS,
    "FORMAT_FAILURE": (
        "le fichier n'a pas la forme exacte attendue : il est abîmé ou a été retouché",
        "the file does not have the exact form it must have: it is damaged or was tampered with",
    ),
    "HASH_FAILURE": (
        "le contenu n'est pas celui qui a été signé",
        "the content is not the one that was signed",
    ),
    "SIG_CRYPTO_FAILURE": ("la signature est fausse", "the signature is false"),
    "SIG_CONSTRAINTS_FAILURE": (
        "le certificat n'autorise pas cette signature",
        "the certificate does not allow this signature",
    ),
    "CHAIN_CONSTRAINTS_FAILURE": (
        "les certificats n'autorisent pas cet usage",
        "the certificates do not allow this use",
    ),
    "CERTIFICATE_CHAIN_GENERAL_FAILURE": (
        "la chaîne de certificats n'a pas pu être validée",
        "the chain of certificates could not be validated",
    ),
    "CRYPTO_CONSTRAINTS_FAILURE": (
        "un algorithme employé est trop faible",
        "an algorithm in use is too weak",
    ),
    "NO_CERTIFICATE_CHAIN_FOUND": (
        "l'identité du signataire ne mène à aucune racine à laquelle vous faites confiance",
        "the signer's identity leads to no root that you trust",
    ),
    "NO_SIGNING_CERTIFICATE_FOUND": (
        "le certificat du signataire est introuvable",
        "the signer's certificate cannot be found",
    ),
    "SIGNED_DATA_NOT_FOUND": (
        "ce qui a été signé est introuvable",
        "what was signed cannot be found",
    ),
    "REVOKED": (
        "le certificat était déjà révoqué au moment de la signature",
        "the certificate was already revoked when the signature was made",
    ),
    "EXPIRED": (
        "le certificat était expiré au moment de la signature",
        "the certificate had expired when the signature was made",
    ),
    "NOT_YET_VALID": (
        "le certificat n'était pas encore valable au moment de la signature",
        "the certificate was not yet valid when the signature was made",
    ),
    "TRY_LATER": (
        "il manque une information de révocation qui couvre ce moment",
        "revocation data that covers this time is missing",
    ),
    "NO_POE": (
        "aucune preuve de date ne permet de conclure",
        "no proof of time lets us conclude",
    ),
    "OUT_OF_BOUNDS_NO_POE": (
        "un certificat a expiré et rien ne prouve que la signature est plus ancienne",
        "a certificate has expired and nothing proves that the signature is older",
    ),
    "TIMESTAMP_ORDER_FAILURE": (
        "les dates se contredisent",
        "the dates contradict each other",
    ),
    "MEMBER_MISSING": ("une pièce du dossier manque", "a piece of the bundle is missing"),
    "MEMBER_UNKNOWN": (
        "le dossier contient une pièce qui n'a rien à y faire",
        "the bundle holds a piece that does not belong there",
    ),
    "INDEX_FILE_MISMATCH": (
        "l'index du dossier ne correspond pas aux pièces",
        "the bundle's index does not match its pieces",
    ),
    "INSTRUCTIONS_MISMATCH": (
        "le mode d'emploi joint n'est pas celui que nous publions",
        "the instructions inside are not the ones we publish",
    ),
    "EVIDENCE_SEAL_MISMATCH": (
        "le cachet du dossier ne couvre pas exactement ses pièces",
        "the bundle's seal does not cover exactly its pieces",
    ),
    "MATERIAL_MISMATCH": (
        "les certificats joints ne sont pas ceux des cachets",
        "the certificates in the bundle are not those of the seals",
    ),
    "OPENING_MISMATCH": (
        "ce qui est dit de l'inscription n'est pas ce que le registre a enregistré",
        "what is said of the entry is not what the ledger recorded",
    ),
    "OPENING_INVALID": (
        "l'ouverture d'une inscription est mal formée",
        "the opening of an entry is malformed",
    ),
    "ENTRY_INVALID": ("une inscription est mal formée", "an entry is malformed"),
    "DOCUMENT_MISMATCH": (
        "l'inscription au registre parle d'un autre document",
        "the ledger entry is about another document",
    ),
    "SEAL_MISMATCH": (
        "le cachet n'est pas celui que le registre a enregistré",
        "the seal is not the one that the ledger recorded",
    ),
    "TOKEN_MISMATCH": (
        "l'horodatage n'est pas celui que le registre a enregistré",
        "the timestamp is not the one that the ledger recorded",
    ),
    "MANIFEST_MISMATCH": (
        "le manifeste n'est pas celui que le registre a enregistré",
        "the manifest is not the one that the ledger recorded",
    ),
    "CERTIFICATE_MISMATCH": (
        "le certificat du cachet n'est pas celui que le registre a enregistré",
        "the seal's certificate is not the one that the ledger recorded",
    ),
    "TAG_MISMATCH": (
        "une inscription n'appartient pas à ce document, ou une inscription intermédiaire manque",
        "an entry does not belong to this document, or one in between is missing",
    ),
    "ENTRY_NOT_IN_LEDGER": (
        "une inscription n'est pas dans le registre",
        "an entry is not in the ledger",
    ),
    "INDEX_MISMATCH": (
        "un récépissé parle d'une autre inscription",
        "a receipt is about another entry",
    ),
    "LOG_MISMATCH": ("les récépissés ne viennent pas du même registre", "the receipts are of different logs"),
    "LOG_UNKNOWN": (
        "les clés publiques de ce registre n'ont pas été fournies : sa part n'est pas vérifiée",
        "the public keys of this ledger were not given: its part is not verified",
    ),
    "LOG_SIGNATURE_MISSING": (
        "une signature attendue du registre manque",
        "a signature expected of the ledger is missing",
    ),
    "LOG_KEY_RETIRED": (
        "le registre est signé par une clé qui avait été remplacée",
        "the ledger is signed by a key that had been replaced",
    ),
    "LOG_KEY_UNSTATED": (
        "le registre est signé par une clé qu'aucune inscription n'annonce",
        "the ledger is signed by a key that no entry states",
    ),
    "PREVIOUS_MISSING": (
        "la génération précédente du registre n'a pas été donnée",
        "the generation of the ledger before this one was not given",
    ),
    "PREVIOUS_MISMATCH": (
        "cette génération du registre ne continue pas celle qui a été donnée",
        "this generation of the ledger does not go on from the one that was given",
    ),
    "PREVIOUS_OUTDATED": (
        "cette génération du registre continue un état plus ancien que celui qui avait été publié",
        "this generation of the ledger goes on from an older state than was published",
    ),
    "PREVIOUS_UNPROVEN": (
        "rien ne prouve que la génération précédente du registre finissait ainsi",
        "nothing proves that the generation of the ledger before this one ended like this",
    ),
    "KEYS_CHANGE_INVALID": (
        "un changement des clés du registre n'est pas conforme",
        "a change of the ledger's keys is not as it must be",
    ),
    "LOG_SIGNATURE_INVALID": ("une signature du registre est fausse", "a signature of the ledger is false"),
    "WITNESS_QUORUM_UNMET": (
        "trop peu de témoins ont contresigné le registre",
        "too few witnesses cosigned the ledger",
    ),
    "LOG_INCONSISTENT": (
        "le registre publié contredit celui du dossier",
        "the published ledger contradicts the one in the bundle",
    ),
    "LEDGER_UNAVAILABLE": ("le registre publié n'a pas pu être lu", "the published ledger could not be read"),
    "EVENT_SEQUENCE": (
        "la suite des événements du document est impossible",
        "the sequence of events of the document is impossible",
    ),
    "TIME_ORDER": (
        "le cachet serait plus récent que son inscription au registre",
        "the seal would be younger than its ledger entry",
    ),
    "ANCHOR_MISMATCH": (
        "l'ancre du registre date un autre point de contrôle que celui des récépissés",
        "the ledger's anchor dates another checkpoint than that of the receipts",
    ),
    "ANCHOR_TOKEN_MISMATCH": (
        "l'horodatage de l'ancre porte sur autre chose que l'ancre",
        "the anchor's timestamp is over something else than the anchor",
    ),
    "ANCHOR_TIME": (
        "une inscription serait plus récente que l'ancre du registre qui la couvre",
        "an entry would be younger than the ledger's anchor that covers it",
    ),
    "NO_SIGNATURE_FOUND": (
        "ce fichier ne porte ni cachet, ni signature, ni preuve",
        "this file carries no seal, signature or proof",
    ),
    "LEDGER_DAMAGED": (
        "la copie du registre est abîmée : elle ne permet pas de mettre le statut à jour",
        "the copy of the ledger is damaged: it cannot bring the status up to date",
    ),
    "TILE_DAMAGED": ("le registre publié est abîmé", "the published ledger is damaged"),
    "CONSISTENCY_PROOF_INVALID": (
        "le registre publié contredit celui du dossier",
        "the published ledger contradicts the one in the bundle",
    ),
    "WITNESS_SIGNATURE_INVALID": (
        "une contresignature de témoin est fausse",
        "a witness's cosignature is false",
    ),
    "PROCESSING_ERROR": (
        "la vérification s'est arrêtée sur une difficulté imprévue",
        "verification stopped on an unforeseen difficulty",
    ),
}
