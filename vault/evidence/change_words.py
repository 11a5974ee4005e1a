"""What was changed after a signature, in words: one form for the report, and French and English for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from signing.judgement import Change, ChangeKind

# kind -> (one in French, several in French, one in English, several in English)
_WORDS: dict[ChangeKind, tuple[str, str, str, str]] = {
    ChangeKind.DSS: (
        "données de validation ajoutées",
        "{} ajouts de données de validation",
        "validation data added",
        "{} additions of validation data",
    ),
    ChangeKind.DOC_TIMESTAMP: (
        "horodatage du document",
        "{} horodatages du document",
        "document timestamp",
        "{} document timestamps",
    ),
    ChangeKind.SIGNATURE: (
        "autre signature",
        "{} autres signatures",
        "further signature",
        "{} further signatures",
    ),
    ChangeKind.FIELD_FILLED: (
        "champ de formulaire rempli",
        "{} champs de formulaire remplis",
        "form field filled",
        "{} form fields filled",
    ),
    ChangeKind.ANNOTATION: ("annotation", "{} annotations", "annotation", "{} annotations"),
    ChangeKind.METADATA: (
        "propriétés du fichier",
        "propriétés du fichier ({} fois)",
        "properties of the file",
        "properties of the file ({} times)",
    ),
    ChangeKind.STRUCTURE: (
        "structure d'accessibilité",
        "structure d'accessibilité ({} fois)",
        "accessibility structure",
        "accessibility structure ({} times)",
    ),
    ChangeKind.REWRITTEN: (
        "éléments réécrits à l'identique",
        "éléments réécrits à l'identique ({} fois)",
        "elements rewritten without change",
        "elements rewritten without change ({} times)",
    ),
}
_KINDS = {kind.value: kind for kind in ChangeKind}
# Nobody needs to hear of these in one sentence: nothing that a reader sees or means is touched.
_QUIET = frozenset({ChangeKind.REWRITTEN, ChangeKind.STRUCTURE, ChangeKind.METADATA, ChangeKind.DSS})


def change_text(change: Change) -> str:
    """Write a change for the report: `form field filled: Nom, page 2`."""
    where = "".join(letter for letter in change.where if letter.isprintable())[:200]
    place = f", page {change.page}" if change.page is not None else ""
    return f"{change.kind.value}: {where}{place}" if where or place else change.kind.value


def change_words(text: str, language: str) -> str:
    """Say a change of the report in `fr` or `en`; text of another form is returned as it is."""
    kind, colon, where = text.partition(":")
    known = _KINDS.get(kind)
    if known is None:
        return text
    words = _WORDS[known][0 if language == "fr" else 2]
    between = " : " if language == "fr" else ": "
    return f"{words}{between}{where.strip(' ,')}" if colon and where.strip(" ,") else words


def changes_summary(texts: Sequence[str], language: str) -> str:
    """Say changes of the report in one phrase, counted by kind; "" when none of them is worth a word."""
    counts = Counter(_KINDS.get(text.partition(":")[0]) for text in dict.fromkeys(texts))
    column = 0 if language == "fr" else 2
    said = []
    for kind in ChangeKind:
        count = counts[kind]
        if count and kind not in _QUIET:
            one, several = _WORDS[kind][column], _WORDS[kind][column + 1]
            said.append(one if count == 1 else several.format(count))
    if counts[None]:
        said.append(("autres modifications", "other changes")[column // 2])
    return ", ".join(said)
