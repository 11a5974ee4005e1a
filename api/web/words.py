"""The words of the pages, French first; verdicts have theirs in `vault.evidence.wording`."""

from __future__ import annotations

from api.web.login_words import LOGIN_WORDS
from api.web.request_words import REQUEST_WORDS
from api.web.rights_words import RIGHTS_WORDS
from api.web.share_words import SHARE_WORDS
from api.web.sharing_words import SHARING_WORDS
from api.web.space_words import SPACE_WORDS

LANGUAGES = ("fr", "en")


def _both(french: str, english: str) -> tuple[str, str]:
    return french, english


WORDS: dict[str, tuple[str, str]] = {
    "title": _both("Probans, coffre-fort numérique à valeur probante", "Probans, an evidential digital safe"),
    "skip": _both("Aller au contenu", "Skip to content"),
    "tagline": _both("Coffre-fort numérique à valeur probante", "Evidential digital safe"),
    "nav": _both("Navigation principale", "Main navigation"),
    "nav_verify": _both("Vérifier un fichier", "Verify a file"),
    "nav_docs": _both("Interface REST", "REST interface"),
    "other_language": _both("English", "Français"),
    "banner": _both(
        "Démonstration : personnes fictives et clés de développement, sans valeur juridique.",
        "Demonstration: made-up people and development keys, without legal value.",
    ),
    "hero": _both(
        "Le fichier est l’original. Chacun peut le prouver.",
        "The file is the original. Anyone can prove it.",
    ),
    "intro_1": _both(
        "Une administration délivre un acte, une personne dépose une pièce jointe : chaque fichier reçoit"
        " un cachet électronique et un horodatage, puis il est gardé sans pouvoir être changé.",
        "An administration issues an act, a person submits an attachment: each file gets an electronic "
        "seal and a timestamp, then it is kept and cannot be changed.",
    ),
    "intro_2": _both(
        "Une inscription au registre public en garde la trace, sans rien révéler du document ni des "
        "personnes.",
        "An entry in the public ledger keeps the trace, and reveals nothing of the document or the people.",
    ),
    "intro_3": _both(
        "Avec son dossier de preuve, n’importe qui vérifie le document hors ligne, des années plus tard, "
        "même si ce service n’existe plus.",
        "With its evidence bundle, anyone verifies the document offline, years later, even if this "
        "service is gone.",
    ),
    "verify_title": _both("Vérifier un fichier", "Verify a file"),
    "verify_hint": _both(
        "Un PDF scellé, un dossier de preuve (.asice) ou tout autre fichier. Il est examiné, puis oublié "
        ": rien n’est gardé. Taille permise : {limit}.",
        "A sealed PDF, an evidence bundle (.asice) or any other file. It is examined, then forgotten: "
        "nothing is kept. Largest size: {limit}.",
    ),
    "verify_label": _both("Fichier à vérifier", "File to verify"),
    "verify_drop": _both("ou déposez-le dans ce cadre", "or drop it in this frame"),
    "verify_button": _both("Vérifier", "Verify"),
    "verify_running": _both("Vérification en cours…", "Verifying…"),
    "chosen": _both("Fichier choisi : ", "File chosen: "),
    "problem": _both("Il y a un problème", "There is a problem"),
    "documents_none": _both("Ce coffre-fort est vide.", "This safe is empty."),
    "home_space_title": _both("Mon espace de documents", "My document space"),
    "home_space": _both(
        "Vos actes et vos pièces, qui les a consultés et pourquoi, ce que l’on vous demande, et où en sont vos"
        " démarches.",
        "Your acts and attachments, who looked at them and why, what you are asked for, and where your cases are.",
    ),
    "home_enter": _both("Entrer dans mon espace", "Enter my space"),
    "kind_act": _both("Acte", "Act"),
    "kind_attachment": _both("Pièce jointe", "Attachment"),
    "issued_by": _both("Délivré par {name}", "Issued by {name}"),
    "submitted": _both("Déposée par vous", "Submitted by you"),
    "received_on": _both("Reçu le {date}", "Received on {date}"),
    "original": _both("Original numérique", "Original"),
    "bundle": _both("Dossier de preuve", "Evidence bundle"),
    "receipt": _both("Récépissé", "Receipt"),
    "status_valid": _both("En vigueur", "In force"),
    "status_superseded": _both("Remplacé", "Superseded"),
    "status_revoked": _both("Révoqué", "Revoked"),
    "status_destroyed": _both("Détruit", "Destroyed"),
    "status_waiting": _both("Cachet en attente", "Seal waiting"),
    "status_kept": _both("Gardée", "Kept"),
    "waiting_hint": _both(
        "Le document est reçu et inscrit au registre ; son cachet suit de lui-même dès que l’horodatage "
        "répond.",
        "The document is received and in the ledger; its seal follows by itself once the timestamp "
        "authority answers.",
    ),
    "unscanned": _both("Non examiné par un antivirus", "Not looked at by an antivirus"),
    "scan_clean": _both("Examiné, rien trouvé", "Looked at, nothing found"),
    "scan_pending": _both("En attente d’examen", "Waiting to be looked at"),
    "scan_infected": _both("Programme malveillant trouvé", "Malware found"),
    "scan_why_engine-down": _both("l’antivirus ne répond pas", "the antivirus does not answer"),
    "scan_why_too-large": _both("fichier trop grand pour l’antivirus", "file too large for the antivirus"),
    "scan_why_too-complex": _both(
        "fichier trop complexe pour l’antivirus", "file too complex for the antivirus"
    ),
    "scan_why_unreadable": _both(
        "le stockage ne l’a pas rendu intact", "the store did not give it back intact"
    ),
    "withheld_NOT_PUBLISHED": _both("Pas encore disponible.", "Not available yet."),
    "withheld_SCAN_PENDING": _both(
        "L’antivirus n’a pas encore examiné ce document : il sera disponible après cet examen.",
        "The antivirus has not looked at this document yet: it will be available after that.",
    ),
    "withheld_DOCUMENT_INFECTED": _both(
        "L’antivirus a trouvé un programme malveillant dans ce document : il n’est plus donné à personne. Si c’est "
        "une erreur de l’antivirus, il redeviendra disponible de lui-même.",
        "The antivirus found malware in this document: it is given to nobody any more. If the antivirus is wrong, "
        "it becomes available again by itself.",
    ),
    "scan_own_pending": _both(
        "L’antivirus n’a pas encore examiné ce document. Vous pouvez l’ouvrir, puisque vous l’avez déposé ; "
        "personne d’autre ne le peut avant cet examen. N’ouvrez que ce dont vous connaissez l’origine.",
        "The antivirus has not looked at this document yet. You may open it, since you brought it; nobody "
        "else may before that. Open only what you know the origin of.",
    ),
    "finding": _both("À savoir avant de l’ouvrir :", "Good to know before opening it:"),
    "verdict_title": _both("Résultat de la vérification", "Result of the verification"),
    "case_authentic": _both("Authentique", "Authentic"),
    "case_line": _both("Ligne de journal prouvée", "Journal line proven"),
    "case_time": _both("Date prouvée", "Date proven"),
    "case_other_file": _both("Un autre fichier", "Another file"),
    "case_changed": _both("Modifié après la signature", "Changed after it was signed"),
    "case_invalid": _both("Signature non valable", "Signature not valid"),
    "case_stamp": _both("Preuve de date non valable", "Proof of time not valid"),
    "case_false": _both("Non authentique", "Not authentic"),
    "case_stranger": _both("Émetteur inconnu ici", "Issuer not known here"),
    "case_nothing": _both("Aucune preuve", "No proof"),
    "case_unsure": _both("Sans conclusion", "No conclusion"),
    "verdict_of": _both("Fichier examiné :", "File examined:"),
    "verdict_again": _both("Vérifier un autre fichier", "Verify another file"),
    "verdict_unknown": _both(
        "Cela ne veut pas dire que le fichier est faux : il ne porte simplement aucune preuve que l’on "
        "puisse examiner. Si vous avez son dossier de preuve (.asice), vérifiez plutôt celui-ci.",
        "This does not mean that the file is forged: it simply carries no proof to examine. If you have "
        "its evidence bundle (.asice), verify that instead.",
    ),
    "verdict_stranger": _both(
        "Un nom dans un certificat que personne ici ne garantit peut avoir été choisi par n’importe qui.",
        "A name in a certificate that nobody here vouches for may have been chosen by anybody.",
    ),
    "not_in_force": _both(
        "Authentique ne veut pas dire en vigueur : d’après ce fichier, ce document est {status}.",
        "Authentic does not mean in force: according to this file, this document is {status}.",
    ),
    "known_title": _both("Ce que ce service en sait aujourd’hui", "What this service knows of it today"),
    "known_act": _both(
        "Ce fichier est, octet pour octet, un acte délivré par {issuer}. Statut : {status}.",
        "This file is, octet for octet, an act issued by {issuer}. Status: {status}.",
    ),
    "known_own": _both(
        "Ce fichier est, octet pour octet, dans votre coffre-fort. Statut : {status}.",
        "This file is, octet for octet, in your safe. Status: {status}.",
    ),
    "who_title": _both("Qui, quand, quoi", "Who, when, what"),
    "who_seal": _both("Cachet de", "Seal of"),
    "who_signature": _both("Signature de", "Signature of"),
    "who_stamp": _both("Horodatage du document par", "Document timestamp by"),
    "who_field": _both("Champ", "Field"),
    "who_judged": _both("Certificat jugé à la date du", "Certificate judged as of"),
    "who_since": _both("Depuis la signature", "Since the signature"),
    "who_unrevoked": _both("Révocation", "Revocation"),
    "who_revocation_good": _both("contrôlée : pas révoqué", "checked: not revoked"),
    "who_revocation_unchecked": _both(
        "non contrôlée : aucune information dans le fichier", "not checked: the file has no data about it"
    ),
    "who_seal_bundle": _both("Dossier de preuve scellé par", "Evidence bundle sealed by"),
    "who_when": _both("Date prouvée", "Proven time"),
    "who_when_none": _both(
        "aucune : pas d’horodatage reconnu ici", "none: no timestamp that is accepted here"
    ),
    "who_authority": _both("Horodatage de", "Timestamp of"),
    "who_own": _both("autorité de l’exploitant lui-même", "the operator’s own authority"),
    "who_level": _both("Forme", "Form"),
    "who_whole": _both("Tout le fichier est couvert", "The whole file is covered"),
    "who_partial": _both("Une partie du fichier n’est pas couverte", "A part of the file is not covered"),
    "who_ledger": _both("Registre", "Ledger"),
    "who_ledger_entries": _both(
        "inscription n° {entries}, sur {size} ; enregistrée le {time} selon l’horloge du service",
        "entry {entries} of {size}; recorded on {time} by the service’s clock",
    ),
    "who_status": _both("Statut", "Status"),
    "who_as_of": _both(
        "selon ce dossier (registre de taille {size})",
        "according to this bundle (ledger size {size})",
    ),
    "checks_title": _both("Ce qui a été vérifié", "What was checked"),
    "checks_details": _both(
        "Détail technique (vérifications : {count})", "Technical details (checks: {count})"
    ),
    "check": _both("Vérification", "Check"),
    "outcome": _both("Résultat", "Outcome"),
    "expected": _both("Attendu", "Expected"),
    "found": _both("Trouvé", "Found"),
    "reasons": _both("Pourquoi", "Why"),
    "outcome_PASSED": _both("Conforme", "Passed"),
    "outcome_FAILED": _both("Refusé", "Failed"),
    "outcome_INDETERMINATE": _both("Indéterminé", "Indeterminate"),
    "outcome_PENDING": _both("En attente", "Pending"),
    "outcome_UNCHECKED": _both("Non vérifié", "Unchecked"),
    "offline_title": _both("Vérifier sans ce service", "Verify without this service"),
    "offline_text": _both(
        "Ne nous croyez pas sur parole : prenez une fois les racines et les clés du registre, gardez-les,"
        " puis vérifiez chaque fichier sur votre machine, sans réseau.",
        "Do not take our word for it: take the roots and the ledger’s keys once, keep them, then verify "
        "every file on your own machine, without network.",
    ),
    "offline_roots": _both("Racines de certificats (PEM)", "Certificate roots (PEM)"),
    "offline_vkeys": _both("Clés du registre (vkeys)", "Ledger keys (vkeys)"),
    "offline_policy": _both("Politique du registre", "Ledger policy"),
    "offline_bundle": _both(
        "Le dossier de preuve s’ouvre aussi comme un zip ; LISEZMOI.txt y explique chaque contrôle avec "
        "openssl et unzip.",
        "The evidence bundle also opens as a zip; README.txt in it explains each check with openssl and "
        "unzip.",
    ),
    "json": _both("Ce verdict en JSON", "This verdict as JSON"),
    "errors_title": _both("Codes d’erreur", "Error codes"),
    "errors_text": _both(
        "Chaque refus de l’interface porte un de ces codes, qui ne changent pas.",
        "Every refusal of the interface carries one of these codes, which do not change.",
    ),
    "home": _both("Retour à l’accueil", "Back to the home page"),
    "reference": _both("Référence de l’incident :", "Reference of the incident:"),
    "footer": _both(
        "Logiciel libre (Apache-2.0). Le registre est public et ne nomme personne :",
        "Free software (Apache-2.0). The ledger is public and names nobody:",
    ),
    "footer_checkpoint": _both("point de contrôle signé", "signed checkpoint"),
    "docs_title": _both("Interface REST", "REST interface"),
    "docs_noscript": _both(
        "Cette page a besoin de JavaScript ; la description elle-même est ici :",
        "This page needs JavaScript; the description itself is here:",
    ),
    **LOGIN_WORDS,
    **SPACE_WORDS,
    **REQUEST_WORDS,
    **SHARING_WORDS,
    **RIGHTS_WORDS,
    **SHARE_WORDS,
}
