"""The words of notices, French and English, with no personal data in them: no name, title, administration, identifier.

Mail says both languages, the holder's own first; text messages, which are short, only that one.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from vault.domain.notices import ChannelName, Event, Words

LANGUAGES = ("fr", "en")
_SUBJECT = {"fr": "Votre coffre-fort numérique", "en": "Your digital safe"}
_CODE_SUBJECT = {"fr": "Code de confirmation", "en": "Confirmation code"}
_NEWS = {
    "fr": {
        Event.DOCUMENT: "Un document est disponible dans votre coffre-fort numérique.",
        Event.REQUEST: "Une demande vous attend dans votre coffre-fort numérique.",
        Event.CASE: "Une démarche a avancé dans votre coffre-fort numérique.",
        Event.REMINDER: "Un rappel vous attend dans votre coffre-fort numérique.",
        Event.SHARING: "Un partage a changé dans votre coffre-fort numérique.",
        Event.ACCESS: "Le journal des accès de votre coffre-fort numérique a du nouveau.",
        Event.SERVICE: "Il y a du nouveau dans votre coffre-fort numérique.",
    },
    "en": {
        Event.DOCUMENT: "A document is available in your digital safe.",
        Event.REQUEST: "A request awaits you in your digital safe.",
        Event.CASE: "A procedure has moved on in your digital safe.",
        Event.REMINDER: "A reminder awaits you in your digital safe.",
        Event.SHARING: "A share has changed in your digital safe.",
        Event.ACCESS: "The access journal of your digital safe has news.",
        Event.SERVICE: "There is news in your digital safe.",
    },
}
_COUNTED = {
    "fr": {
        Event.DOCUMENT: ("document", "documents"),
        Event.REQUEST: ("demande", "demandes"),
        Event.CASE: ("démarche", "démarches"),
        Event.REMINDER: ("rappel", "rappels"),
        Event.SHARING: ("partage", "partages"),
        Event.ACCESS: ("ligne au journal des accès", "lignes au journal des accès"),
        Event.SERVICE: ("autre nouvelle", "autres nouvelles"),
    },
    "en": {
        Event.DOCUMENT: ("document", "documents"),
        Event.REQUEST: ("request", "requests"),
        Event.CASE: ("procedure", "procedures"),
        Event.REMINDER: ("reminder", "reminders"),
        Event.SHARING: ("share", "shares"),
        Event.ACCESS: ("line in the access journal", "lines in the access journal"),
        Event.SERVICE: ("other piece of news", "other pieces of news"),
    },
}
_DIGEST = {
    "fr": "Dans votre coffre-fort numérique depuis hier :",
    "en": "In your digital safe since yesterday:",
}
_CODE = {
    "fr": "Pour recevoir ici les messages de votre coffre-fort numérique, connectez-vous et saisissez ce code "
    "dans les 24 heures :",
    "en": "To get the messages of your digital safe here, log in and enter this code within 24 hours:",
}
_SHORT_CODE = {
    "fr": "Coffre-fort numérique, code de confirmation : {code}",
    "en": "Digital safe, confirmation code: {code}",
}
_IGNORE = {
    "fr": "Si vous n’avez rien demandé, ne faites rien : cette adresse ne servira pas.",
    "en": "If you did not ask for it, do nothing: this address will not be used.",
}
_WHERE = {"fr": "Pour le voir, connectez-vous : {link}", "en": "To see it, log in: {link}"}
_FOOT = {
    "fr": "Ce message ne contient volontairement aucun détail. Vos choix d’envoi se changent dans votre coffre.",
    "en": "This message deliberately holds no details. What is sent to you can be changed in your safe.",
}


def news_words(channel: ChannelName, event: Event, language: str, link: str) -> Words:
    """Return the words of one piece of news.

    Args:
        channel: by what way it goes.
        event: what kind of news.
        language: `fr` or `en`.
        link: the service's own address, the same for everybody.
    """
    if channel is ChannelName.SMS:
        return Words("", f"{_NEWS[language][event]} {link}")
    said = {each: [_NEWS[each][event], _WHERE[each].format(link=link)] for each in LANGUAGES}
    return _mail(_SUBJECT, said, language, link)


def digest_words(channel: ChannelName, counts: Mapping[Event, int], language: str, link: str) -> Words:
    """Return the words of the daily message: how many of what, and the link.

    Args:
        channel: by what way it goes.
        counts: how many pieces of news of each kind.
        language: `fr` or `en`.
        link: the service's own address.
    """
    said: dict[str, list[str]] = {}
    for each in LANGUAGES:
        lines = [f"{count} {_COUNTED[each][event][count > 1]}" for event, count in sorted(counts.items())]
        said[each] = [_DIGEST[each], *lines, _WHERE[each].format(link=link)]
    if channel is ChannelName.SMS:
        head, *lines, _ = said[language]
        return Words("", f"{head} {', '.join(lines)}. {link}")
    return _mail(_SUBJECT, said, language, link)


def code_words(channel: ChannelName, code: str, language: str, link: str) -> Words:
    """Return the words that carry the code by which a contact is confirmed.

    Args:
        channel: by what way it goes.
        code: the code, as the person enters it.
        language: `fr` or `en`.
        link: the service's own address.
    """
    if channel is ChannelName.SMS:
        return Words("", _SHORT_CODE[language].format(code=code))
    said = {each: [_CODE[each], code, link, _IGNORE[each]] for each in LANGUAGES}
    return _mail(_CODE_SUBJECT, said, language, link)


def _mail(subjects: Mapping[str, str], said: Mapping[str, list[str]], language: str, link: str) -> Words:
    order = sorted(LANGUAGES, key=lambda each: each != language)
    text = "\n\n--\n\n".join("\n\n".join([*said[each], _FOOT[each]]) for each in order)
    blocks = "\n<hr>\n".join(
        f'<div lang="{each}">\n'
        + "\n".join(f"<p>{_linked(line, link)}</p>" for line in [*said[each], _FOOT[each]])
        + "\n</div>"
        for each in order
    )
    subject = " / ".join(subjects[each] for each in order)
    html = (
        f'<!DOCTYPE html>\n<html lang="{order[0]}">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{escape(subject)}</title>\n</head>\n<body>\n{blocks}\n</body>\n</html>\n"
    )
    return Words(subject, text + "\n", html)


def _linked(line: str, link: str) -> str:
    """Escape a line and make the link in it one that can be followed; it shows where it leads."""
    shown = escape(link)
    return escape(line).replace(shown, f'<a href="{shown}">{shown}</a>')
