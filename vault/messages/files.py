"""Words about files: receiving them, their names, types and content. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

_RECEIVED = {
    "EMPTY_FILE": Entry(
        422,
        "Le fichier est vide.",
        "Vérifiez le fichier sur votre appareil, puis envoyez-le de nouveau.",
        "The file is empty.",
        "Check the file on your device, then send it again.",
    ),
    "TOO_LARGE": Entry(
        413,
        "Le fichier dépasse la taille permise ({limit_size}).",
        "Réduisez-le ou partagez-le en plusieurs fichiers de moins de {limit_size}.",
        "The file is larger than allowed ({limit_size}).",
        "Make it smaller or split it into files under {limit_size}.",
    ),
    "TRUNCATED": Entry(
        400,
        "L’envoi s’est interrompu : {received_size} reçus sur {expected_size}. Rien n’a été gardé.",
        "Recommencez l’envoi, avec la même clé d’idempotence si vous en utilisez une.",
        "The upload was cut: {received_size} received of {expected_size}. Nothing was kept.",
        "Send the file again, with the same idempotency key if you use one.",
    ),
    "LENGTH_MISMATCH": Entry(
        400,
        "L’envoi contient plus que les {expected} octets annoncés. Rien n’a été gardé.",
        "Recommencez l’envoi ; si cela se répète, le logiciel d’envoi annonce une taille fausse.",
        "The upload holds more than the {expected} bytes announced. Nothing was kept.",
        "Send it again; if it happens again, the sending software announces a wrong size.",
    ),
    "DIGEST_MISMATCH": Entry(
        422,
        "Le fichier reçu n’a pas l’empreinte {algorithm} annoncée : il a changé en route. "
        "Rien n’a été gardé.",
        "Recommencez l’envoi ; si cela se répète, recalculez l’empreinte du fichier.",
        "The file received does not have the {algorithm} digest announced: it changed on the way. "
        "Nothing was kept.",
        "Send it again; if it happens again, compute the file’s digest anew.",
    ),
    "DIGEST_MALFORMED": Entry(
        400,
        "L’en-tête {field} n’est pas lisible.",
        "Écrivez-le comme la RFC 9530 : sha-256=:empreinte en base64:.",
        "The {field} header cannot be read.",
        "Write it as in RFC 9530: sha-256=:digest in base64:.",
    ),
    "NAME_INVALID": Entry(
        422,
        "Le nom du fichier n’est pas accepté : {problem}.",
        "Renommez le fichier, puis envoyez-le de nouveau.",
        "The file name is not accepted: {problem}.",
        "Rename the file, then send it again.",
    ),
    "TYPE_DIFFERS": Entry(
        422,
        "Le fichier est annoncé comme {declared}, mais son contenu est {found}.",
        "Ouvrez-le avec prudence, et seulement si vous savez d’où il vient.",
        "The file is announced as {declared}, but its content is {found}.",
        "Open it with care, and only if you know where it comes from.",
    ),
}

_PDF = {
    "PDF_ENCRYPTED": Entry(
        422,
        "Ce PDF est protégé par un mot de passe ou des restrictions.",
        "Un acte doit rester lisible par tous : enregistrez-le sans protection, puis envoyez-le de nouveau.",
        "This PDF is protected by a password or restrictions.",
        "An act must stay readable by all: save it without protection, then send it again.",
    ),
    "PDF_JAVASCRIPT": Entry(
        422,
        "Ce PDF contient un programme (JavaScript).",
        "Un acte ne doit rien exécuter : refaites-le sans script, par exemple en l’imprimant en PDF.",
        "This PDF holds a program (JavaScript).",
        "An act must run nothing: make it again without scripts, for example by printing it to PDF.",
    ),
    "PDF_ACTIVE_CONTENT": Entry(
        422,
        "Ce PDF contient des éléments actifs : {kinds}.",
        "Un acte ne doit ni lancer, ni envoyer, ni jouer quoi que ce soit : refaites-le sans ces éléments.",
        "This PDF holds active elements: {kinds}.",
        "An act must not launch, send or play anything: make it again without these elements.",
    ),
    "PDF_EMBEDDED_FILES": Entry(
        422,
        "Ce PDF contient d’autres fichiers ({count}).",
        "Enlevez-les, envoyez-les à part, ou produisez un PDF/A-3 qui les déclare comme associés.",
        "This PDF holds other files ({count}).",
        "Remove them, send them apart, or produce a PDF/A-3 that declares them as associated.",
    ),
    "PDF_XFA": Entry(
        422,
        "Ce PDF contient un formulaire XFA, dont le contenu peut changer à l’affichage.",
        "Enregistrez-le comme PDF ordinaire, par exemple en l’imprimant en PDF.",
        "This PDF holds an XFA form, whose content may change when shown.",
        "Save it as an ordinary PDF, for example by printing it to PDF.",
    ),
    "PDF_DAMAGED": Entry(
        422,
        "Ce PDF est abîmé : il ne se lit pas sans réparation.",
        "Produisez-le de nouveau avec le logiciel d’origine, puis envoyez-le de nouveau.",
        "This PDF is damaged: it cannot be read without repair.",
        "Produce it again with the original software, then send it again.",
    ),
    "PDF_TOO_COMPLEX": Entry(
        422,
        "Ce PDF demande plus de mémoire ou de temps que le service n’en accorde.",
        "Simplifiez-le ou partagez-le en plusieurs documents.",
        "This PDF asks for more memory or time than the service grants.",
        "Simplify it or split it into several documents.",
    ),
}

_SCAN = {
    "SCAN_INFECTED": Entry(
        422,
        "L’antivirus a trouvé un programme malveillant dans ce fichier ({found}). Rien n’a été gardé.",
        "Nettoyez votre appareil ou demandez le fichier à qui l’a fait, puis envoyez-le de nouveau.",
        "The antivirus found malware in this file ({found}). Nothing was kept.",
        "Clean your device or ask its author for the file, then send it again.",
    ),
    "SCAN_IMPOSSIBLE": Entry(
        422,
        "L’antivirus ne peut pas examiner ce fichier : il est trop grand ou trop complexe. Rien n’a été gardé.",
        "Réduisez-le, partagez-le en plusieurs fichiers ou sortez-en les fichiers qu’il contient.",
        "The antivirus cannot look at this file: it is too large or too complex. Nothing was kept.",
        "Make it smaller, split it into several files, or take out the files it holds.",
    ),
    "SCAN_PENDING": Entry(
        409,
        "L’antivirus n’a pas encore examiné ce document : seule la personne qui l’a déposé peut l’ouvrir.",
        "Revenez dans quelques minutes : l’examen se fait de lui-même.",
        "The antivirus has not looked at this document yet: only who brought it may open it.",
        "Come back in a few minutes: it is looked at by itself.",
    ),
    "DOCUMENT_INFECTED": Entry(
        409,
        "L’antivirus a trouvé un programme malveillant dans ce document : il n’est plus donné à personne.",
        "Demandez-le de nouveau à qui l’a fait. S’il s’agit d’une erreur de l’antivirus, le document redeviendra "
        "disponible de lui-même.",
        "The antivirus found malware in this document: it is given to nobody any more.",
        "Ask its author for it again. If the antivirus is wrong, the document becomes available again by itself.",
    ),
    "SCANNER_DOWN": Entry(
        503,
        "L’antivirus ne répond pas : le fichier n’a pas pu être examiné. Rien n’a été gardé.",
        "Envoyez-le de nouveau dans quelques minutes, avec la même clé d’idempotence si vous en utilisez une.",
        "The antivirus does not answer: the file could not be looked at. Nothing was kept.",
        "Send it again in a few minutes, with the same idempotency key if you use one.",
    ),
    "SCANNER_BLIND": Entry(
        503,
        "L’antivirus n’est pas en état d’examiner des fichiers. Rien n’a été gardé.",
        "Envoyez le fichier de nouveau plus tard ; l’exploitant du service est prévenu.",
        "The antivirus is not fit to look at files. Nothing was kept.",
        "Send the file again later; the operator of the service is told.",
    ),
}

FILES = {**_RECEIVED, **_PDF, **_SCAN}
