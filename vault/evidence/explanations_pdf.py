"""What the reason codes of judging anybody's files mean for somebody who is no specialist."""

from __future__ import annotations

# code -> (French, English); what was done to a PDF after it was signed
PDF_EXPLANATIONS: dict[str, tuple[str, str]] = {
    "PDF_CONTENT_CHANGED": (
        "ce que montre le document a été modifié après la signature",
        "what the document shows was changed after it was signed",
    ),
    "PDF_OBJECT_REDEFINED": (
        "un élément du document signé a été remplacé après la signature",
        "an element of the signed document was replaced after it was signed",
    ),
    "PDF_APPEARANCE_CHANGED": (
        "l'aspect d'un champ a été modifié sans que sa valeur change",
        "the look of a field was changed while its value stayed the same",
    ),
    "PDF_APPEARANCE_OVERLAP": (
        "le cadre d'une signature ajoutée recouvre un champ, une signature ou une annotation, ou trop de la page",
        "the frame of an added signature covers a field, a signature or an annotation, or too much of the page",
    ),
    "PDF_ANNOTATION_ADDED": (
        "une annotation a été ajoutée ou modifiée, ce que la signature n'autorise pas",
        "an annotation was added or changed, which the signature does not allow",
    ),
    "PDF_FIELD_ADDED": (
        "un champ de formulaire a été ajouté après la signature",
        "a form field was added after the document was signed",
    ),
    "PDF_FIELD_LOCKED": (
        "un champ que la signature verrouille a été modifié",
        "a field that the signature locks was changed",
    ),
    "PDF_CHANGE_NOT_PERMITTED": (
        "une modification que la signature interdit a été faite après elle",
        "a change that the signature forbids was made after it",
    ),
    "PDF_AMBIGUOUS": (
        "la structure du fichier est défectueuse : il peut s'afficher autrement selon le logiciel",
        "the structure of the file is faulty: it may look different from one program to another",
    ),
    "PDF_ENCRYPTED": (
        "le fichier est chiffré : ce qu'il montre ne peut pas être contrôlé",
        "the file is encrypted: what it shows cannot be checked",
    ),
    "PDF_TOO_COMPLEX": (
        "le fichier est trop complexe pour être contrôlé ici",
        "the file is too complex to be checked here",
    ),
    "PDF_DYNAMIC_FORM": (
        "le formulaire n'affiche pas forcément ce qu'il contient (XFA, ou champ rempli sans être redessiné)",
        "the form need not show what it holds (XFA, or a field that was filled without being drawn anew)",
    ),
    "PDF_ANNOTATION_MAY_HIDE": (
        "une annotation ou un champ rempli après la signature peut cacher une partie du document",
        "an annotation added, or a field filled, after the signature may hide part of the document",
    ),
}

# code -> (French, English); what keeps anybody's signature from being proven
FOREIGN_EXPLANATIONS: dict[str, tuple[str, str]] = {
    "SIGNATURE_FORMAT_UNSUPPORTED": (
        "cette forme de signature n'est pas lue par ce programme (XML, par exemple)",
        "this form of signature is not read by this program (XML, for instance)",
    ),
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": (
        "un algorithme employé n'est plus sûr, et rien ne prouve que la signature date du temps où il l'était",
        "an algorithm in use is no longer safe, and nothing proves that the signature dates from when it was",
    ),
    "OUT_OF_BOUNDS_NOT_REVOKED": (
        "un certificat a expiré sans avoir été révoqué, mais rien ne prouve que la signature est plus ancienne",
        "a certificate expired without having been revoked, but nothing proves that the signature is older",
    ),
    "REVOKED_NO_POE": (
        "le certificat a été révoqué, et rien ne prouve que la signature est plus ancienne",
        "the certificate was revoked, and nothing proves that the signature is older",
    ),
    "REVOKED_CA_NO_POE": (
        "le certificat d'une autorité a été révoqué, et rien ne prouve que la signature est plus ancienne",
        "the certificate of an authority was revoked, and nothing proves that the signature is older",
    ),
    "POLICY_PROCESSING_ERROR": (
        "la politique de signature n'a pas pu être appliquée",
        "the signature policy could not be applied",
    ),
    "SIGNATURE_POLICY_NOT_AVAILABLE": (
        "la politique de signature n'est pas disponible",
        "the signature policy is not available",
    ),
    "TSA_STATUS": (
        "la réponse de l'autorité d'horodatage est un refus : elle ne contient pas d'horodatage",
        "the timestamp authority's answer is a refusal: there is no timestamp in it",
    ),
    "INCLUSION_PROOF_INVALID": (
        "la preuve d'inscription au registre est fausse",
        "the proof that an entry is in the ledger is false",
    ),
    "SIGNATURE_INVALID": ("une signature est fausse", "a signature is false"),
    "OBJECT_MISSING": ("une pièce du registre manque", "a piece of the ledger is missing"),
    "VERIFIER_TIME_LIMIT": (
        "le contrôle de ce fichier a dépassé le temps permis",
        "checking this file took longer than it may",
    ),
    "VERIFIER_MEMORY_LIMIT": (
        "le contrôle de ce fichier a dépassé la mémoire permise",
        "checking this file took more memory than it may",
    ),
    "VERIFIER_OUTPUT_LIMIT": (
        "le contenu de ce fichier dépasse, une fois déployé, la taille permise",
        "what is in this file is, once expanded, larger than it may be",
    ),
    "VERIFIER_CRASHED": (
        "le programme de contrôle s'est arrêté sur ce fichier",
        "the checking program stopped on this file",
    ),
}
