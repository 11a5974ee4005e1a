"""What each check of a verdict means to a person."""

from __future__ import annotations


def _both(french: str, english: str) -> tuple[str, str]:
    return french, english


# One signature of anybody's: in a PDF, in a file of its own, beside a file, in a container.
_ONE = r"(?:document|evidence)\.signature\[\d+\]|container\.proof\[\d+\]"

# In the order in which a person wants to hear of them: names of the checks of `vault.evidence` that belong to a
# statement, the one among them without which the statement would say too much, and the statement.
CHECK_GROUPS: tuple[tuple[str, str, tuple[str, str]], ...] = (
    (
        r"line(\.(entry|opening|commitment|tag))?",
        r"line\.commitment",
        _both(
            "Cette ligne du journal dit ce que le registre a enregistré",
            "This line of the journal says what the ledger recorded",
        ),
    ),
    (
        r"line\.(receipt|checkpoint|published)",
        r"line\.checkpoint",
        _both(
            "L’inscription est dans le registre public",
            "The entry is in the public ledger",
        ),
    ),
    (
        r"document\.(seal(\[\d+\])?|manifest)|signature.*|.*\.signatures|original(\[\d+\])?",
        r".*",
        _both(
            "Le cachet électronique est intact et couvre le document",
            "The electronic seal is intact and covers the document",
        ),
    ),
    (
        rf"({_ONE})(\.(readable|coverage|form|integrity|signature|references|manifest|content|token|imprint))?",
        r".*",
        _both(
            "La signature est intacte et couvre ce qu’elle signe",
            "The signature is intact and covers what it signs",
        ),
    ),
    (
        rf"({_ONE})\.changes",
        r".*",
        _both(
            "Rien d’interdit n’a été changé ou ajouté après la signature",
            "Nothing forbidden was changed or added after the signature",
        ),
    ),
    (
        rf"({_ONE})\.(signer|path)",
        rf"({_ONE})\.path",
        _both(
            "L’identité du signataire mène à une autorité reconnue ici",
            "The signer’s identity leads to an authority known here",
        ),
    ),
    (
        rf"({_ONE})\.revocation",
        r".*",
        _both(
            "Les certificats n’étaient pas révoqués",
            "The certificates were not revoked",
        ),
    ),
    (
        rf"({_ONE})\.(algorithms|time|timestamps?(\[\d+\])?(\..*)?|level)",
        r".*",
        _both(
            "Les algorithmes et les dates tiennent ensemble",
            "Algorithms and dates hold together",
        ),
    ),
    (
        r"(document|evidence)\.(timestamp|record)\b.*|container\.proof\[\d+\]\.(data|chain|stamp|group)\b.*",
        r".*",
        _both(
            "L’horodatage ou la preuve d’archivage couvre le fichier",
            "The timestamp or evidence record covers the file",
        ),
    ),
    (
        r"document\.usage_rights|(document|evidence)\.content|container\.(uncovered\[\d+\]|coverage|contents)",
        r".*",
        _both(
            "Tout ce que contient le fichier est couvert par une signature",
            "Everything in the file is covered by a signature",
        ),
    ),
    (
        r"verifier|trusted-list.*",
        r".*",
        _both(
            "Le contrôle a pu être mené à son terme",
            "The check could be carried through",
        ),
    ),
    (
        r"certificates|revocation",
        r"certificates",
        _both(
            "Les certificats joints sont ceux des cachets, avec leurs listes de révocation",
            "The certificates inside are those of the seals, with their revocation lists",
        ),
    ),
    (
        r"entry\[\d+\](\.(opening|document|file_name|signature|token|seal_certificate|manifest|size|media_type))?",
        r"entry\[\d+\]\.document",
        _both(
            "L’inscription au registre parle bien de ce document et de ce cachet",
            "The ledger entry is about this document and this seal",
        ),
    ),
    (
        r"entry\[\d+\]\.(receipt|checkpoint|tag|index)|ledger",
        r"entry\[\d+\]\.checkpoint",
        _both(
            "L’inscription est dans le registre, que ses clés ont signé",
            "The entry is in the ledger, which its keys have signed",
        ),
    ),
    (
        r"events|entry\[\d+\]\.time",
        r"events",
        _both(
            "Les dates et la suite des événements concordent",
            "The dates and the sequence of events agree",
        ),
    ),
    (
        r"bundle\.(manifest|seal)",
        r"bundle\.seal",
        _both(
            "Le cachet de preuve couvre toutes les pièces du dossier",
            "The evidence seal covers every piece of the bundle",
        ),
    ),
    (
        r"container|members?\b.*|evidence\.json|LISEZMOI\.txt|README\.txt",
        r"evidence\.json",
        _both(
            "Le dossier est complet et n’a qu’une seule lecture possible",
            "The bundle is complete and can be read in one way only",
        ),
    ),
    (
        r"anchor(\.(checkpoint|token|time))?",
        r"anchor\.time",
        _both(
            "Un horodatage du registre borne la date de l’inscription",
            "A timestamp of the ledger bounds the date of the entry",
        ),
    ),
    (
        r"status",
        r"status",
        _both(
            "Le statut a été remis à jour auprès du registre publié",
            "The status was brought up to date with the published ledger",
        ),
    ),
)
OTHER_CHECKS = _both("Autres vérifications", "Other checks")
FILE_CHECK = _both(
    "Le fichier porte une preuve que l’on peut examiner",
    "The file carries a proof that can be examined",
)
