"""The words of one's rights: contacts, everything about me, closing the safe; French first."""

from __future__ import annotations


def _both(french: str, english: str) -> tuple[str, str]:
    return french, english


RIGHTS_WORDS: dict[str, tuple[str, str]] = {
    "rights_title": ("Mes droits", "My rights"),
    "rights_text": (
        "Ce que la loi vous donne sur ce qui est gardé de vous, et comment vous en servir ici.",
        "What the law gives you over what is kept about you, and how to use it here.",
    ),
    "rights_export": _both(
        "Une archive avec vos fichiers, leurs preuves, le journal, vos consentements et tout le reste, en formats"
        " ouverts.",
        "One archive with your files, their proofs, the journal, your consents and all the rest, in open formats.",
    ),
    "rights_notes": (
        "Une donnée est fausse : dites-le à l’administration, qui répond.",
        "Something about you is wrong: tell the administration, which answers.",
    ),
    "rights_contacts": ("Où et de quoi vous prévenir.", "Where to tell you, and of what."),
    "rights_access_title": ("Mes accès", "My access"),
    "rights_access": (
        "Vos sessions ouvertes et vos moyens de connexion.",
        "Your open sessions and ways to log in.",
    ),
    "rights_reports": ("Les accès que vous avez signalés.", "The accesses you reported."),
    "rights_closure": (
        "Fermer définitivement ce coffre, après un délai pendant lequel vous pouvez changer d’avis.",
        "Close this safe for good, after a notice during which you can change your mind.",
    ),
    # everything about me
    "export_title": ("Tout ce qui est gardé de moi", "Everything that is kept about me"),
    "export_text": _both(
        "L’archive contient tous vos originaux, leurs dossiers de preuve, les métadonnées, le journal des accès, vos"
        " demandes, consentements, partages, mandats, démarches, adresses et réglages. Elle peut être prise pendant"
        " 24 heures.",
        "The archive holds all your originals, their evidence bundles, metadata, the access journal, your requests,"
        " consents, shares, mandates, cases, addresses and settings. It can be taken for 24 hours.",
    ),
    "export_button": ("Préparer l’archive", "Prepare the archive"),
    "export_take": ("Télécharger l’archive (zip)", "Download the archive (zip)"),
    "export_asked": ("Prête à être prise", "Ready to be taken"),
    "export_running": ("En cours de téléchargement", "Being downloaded"),
    "export_delivered": ("Remise", "Delivered"),
    "export_ended": ("Terminée", "Over"),
    "export_progress": ("Documents sortis", "Documents that left"),
    "export_of": ("{done} sur {count}", "{done} of {count}"),
    "export_missing": ("Documents illisibles", "Documents that could not be read"),
    "export_until": ("À prendre avant le", "To be taken before"),
    "export_how": _both(
        "L’archive se compose pendant qu’elle part : si le téléchargement s’interrompt, recommencez-le. Rechargez cette"
        " page pour voir où il en est.",
        "The archive is made while it leaves: if the download breaks off, start it again. Reload this page to see how"
        " far it is.",
    ),
    "done_export": (
        "L’archive est demandée et inscrite au registre.",
        "The archive is asked for, and in the ledger.",
    ),
    # rectification
    "notes_title": ("Mes demandes de rectification", "What I said is wrong"),
    "notes_none": ("Aucune demande de rectification.", "Nothing."),
    "note_title": ("Dire ce qui est faux dans ce document", "Say what is wrong in this document"),
    "note_text": _both(
        "Un acte scellé ne se change pas. Votre remarque est gardée à côté de lui, montrée à qui peut le lire, et"
        " l’administration qui l’a délivré y répond : par un nouvel acte, ou en expliquant pourquoi il reste.",
        "A sealed act is not changed. Your note is kept beside it, shown to whoever may read it, and the administration"
        " that issued it answers: by a new act, or by saying why it stays.",
    ),
    "note_words": ("Ce qui est faux, et pourquoi", "What is wrong, and why"),
    "note_button": ("Envoyer la remarque", "Send the note"),
    "note_heading": ("Remarques", "Notes"),
    "note_nothing": ("Personne n’a rien signalé de faux.", "Nobody said that anything is wrong."),
    "note_add": ("Dire ce qui est faux", "Say what is wrong"),
    "note_document": ("Voir le document", "See the document"),
    "note_made": ("Dit le {date}", "Said on {date}"),
    "note_open": ("Attend une réponse", "Waits for an answer"),
    "note_answered": ("Répondu", "Answered"),
    "note_withdrawn": ("Retiré", "Withdrawn"),
    "note_corrected": ("Corrigé :", "Corrected:"),
    "note_kept": ("Maintenu :", "Kept:"),
    "note_withdraw": ("Retirer cette remarque", "Take this note back"),
    "done_remarque": (
        "Votre remarque est envoyée et inscrite au registre.",
        "Your note is sent, and in the ledger.",
    ),
    "done_remarque-retiree": ("Votre remarque est retirée.", "Your note is taken back."),
    # closure
    "closure_title": ("Fermer mon coffre", "Close my safe"),
    "closure_text": _both(
        "Vous demandez, puis vous confirmez ; un délai de {count} jours court alors, pendant lequel vous pouvez"
        " annuler. Ensuite le coffre ne reçoit ni ne partage plus rien. Ce qu’il contient reste lisible par vous"
        " jusqu’à la fin de la durée de conservation.",
        "You ask, then confirm; a notice of {count} days runs then, during which you can cancel. After it the safe"
        " takes in and shares nothing any more. What it holds stays readable by you until its retention ends.",
    ),
    "closure_other": (
        "Avant cela, prenez une copie de tout. Les administrations pourront toujours vous écrire sur papier.",
        "Before that, take a copy of everything. Administrations can still write to you on paper.",
    ),
    "closure_understood": ("Je comprends ce que la fermeture entraîne", "I understand what closing means"),
    "closure_legend": ("Confirmer que vous avez lu", "Confirm that you have read this"),
    "wrong_understood": ("Cochez la case pour continuer.", "Tick the box to go on."),
    "closure_ask": ("Demander la fermeture", "Ask to close the safe"),
    "closure_asked": ("Demandée : à confirmer", "Asked for: to be confirmed"),
    "closure_notice": ("Confirmée : le délai court", "Confirmed: the notice runs"),
    "closure_closed": ("Coffre fermé", "Safe closed"),
    "closure_confirm": ("Confirmer la fermeture", "Confirm the closure"),
    "closure_cancel": ("Annuler la fermeture", "Cancel the closure"),
    "closure_reason": ("Raison", "Reason"),
    "closure_ends": ("Le coffre ferme le {date}", "The safe closes on {date}"),
    "done_cloture-demandee": (
        "La fermeture est demandée ; il reste à la confirmer.",
        "The closure is asked for; it remains to be confirmed.",
    ),
    "done_cloture-confirmee": (
        "La fermeture est confirmée ; le délai court.",
        "The closure is confirmed; the notice runs.",
    ),
    "done_cloture-annulee": ("La fermeture est annulée.", "The closure is cancelled."),
    # contacts
    "contacts_title": ("Être prévenu", "Being told"),
    "contacts_text": _both(
        "Où vous prévenir quand quelque chose arrive dans votre coffre. Les messages disent qu’il y a du nouveau et où"
        " regarder, jamais quoi.",
        "Where to tell you when something happens in your safe. Messages say that there is news and where to look,"
        " never what.",
    ),
    "contacts_none": ("Aucune adresse : vous n’êtes pas prévenu.", "No address: you are not told."),
    "contact_confirmed": ("Confirmée", "Confirmed"),
    "contact_pending": ("Attend son code", "Waits for its code"),
    "contact_doubtful": ("Ne répond plus : à confirmer de nouveau", "No longer answers: confirm it again"),
    "contact_code": ("Code reçu", "Code you got"),
    "contact_code_hint": (
        "Dix signes, valables vingt-quatre heures ; tirets et majuscules sont sans importance.",
        "Ten characters, good for twenty-four hours; dashes and capitals do not matter.",
    ),
    "contact_confirm": ("Confirmer", "Confirm"),
    "contact_again": ("Envoyer un nouveau code", "Send a new code"),
    "contact_erase": ("Effacer cette adresse", "Erase this address"),
    "contact_add": ("Ajouter une adresse", "Add an address"),
    "contact_channel": ("Par", "By"),
    "channel_mail": ("courriel", "e-mail"),
    "channel_sms": ("SMS", "text message"),
    "contact_address": ("Adresse ou numéro", "Address or number"),
    "contact_address_hint": (
        "Un numéro commence par l’indicatif du pays, par exemple +377.",
        "A number begins with the country’s prefix, such as +377.",
    ),
    "wrong_address": ("Indiquez une adresse ou un numéro.", "Give an address or a number."),
    "contact_add_button": ("Ajouter et recevoir un code", "Add, and get a code"),
    "choices_title": ("De quoi être prévenu", "What to be told of"),
    "choices_text": (
        "Pour chaque sorte de nouvelle : quand, et par quel moyen.",
        "For each kind of news: when, and by what way.",
    ),
    "choices_language": ("Langue des messages", "Language of the messages"),
    "choices_when": ("Quand", "When"),
    "choices_button": ("Garder ces choix", "Keep these choices"),
    "when_now": ("tout de suite", "at once"),
    "when_daily": ("une fois par jour", "once a day"),
    "when_never": ("jamais", "never"),
    "event_document": ("Documents", "Documents"),
    "event_request": ("Demandes de pièces", "Requests for documents"),
    "event_case": ("Démarches", "Cases"),
    "event_reminder": ("Rappels de rendez-vous et d’échéances", "Reminders of appointments and deadlines"),
    "event_sharing": ("Partages, consentements et mandats", "Shares, consents and mandates"),
    "event_access": ("Signalements et accès particuliers", "Reports and particular accesses"),
    "event_service": ("Le service lui-même", "The service itself"),
    "done_contact": ("Un code est en route vers cette adresse.", "A code is on its way to this address."),
    "done_contact-retire": ("L’adresse est effacée.", "The address is erased."),
    "done_contact-confirme": ("L’adresse est confirmée.", "The address is confirmed."),
    "done_code": ("Un nouveau code est en route.", "A new code is on its way."),
    "done_choix": ("Vos choix sont gardés.", "Your choices are kept."),
}
