"""The shape of a catalogue entry, and the words for what is wrong with a file name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """The words of one code; texts are format strings over the error's params.

    Attributes:
        status: HTTP status of an answer that carries this code.
        title_fr: what happened, in French.
        action_fr: what to do, in French.
        title_en: what happened, in English.
        action_en: what to do, in English.
    """

    status: int
    title_fr: str
    action_fr: str
    title_en: str
    action_en: str


# Problems of `NAME_INVALID`: French, English.
NAME_PROBLEMS = {
    "control": ("un caractère de contrôle", "a control character"),
    "device": ("un nom réservé par Windows", "a name reserved by Windows"),
    "dot": ("un point au début ou à la fin", "a dot at the beginning or the end"),
    "empty": ("aucun caractère visible", "no visible character"),
    "invisible": (
        "un caractère invisible ou qui inverse le texte",
        "an invisible or text-reversing character",
    ),
    "path": ("une barre oblique, comme dans un chemin de dossier", "a slash, as in a folder path"),
    "reserved": ("un caractère interdit dans un nom de fichier", "a character not allowed in a file name"),
    "space": ("une espace au début ou à la fin", "a space at the beginning or the end"),
    "surrogate": ("un caractère incomplet", "an incomplete character"),
    "unassigned": ("un caractère que personne ne sait afficher", "a character nobody can show"),
    "too_long": ("plus de 180 octets", "more than 180 bytes"),
}
