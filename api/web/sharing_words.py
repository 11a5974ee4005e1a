"""The words of share codes and of mandates; French first."""

from __future__ import annotations


def _both(french: str, english: str) -> tuple[str, str]:
    return french, english


SHARING_WORDS: dict[str, tuple[str, str]] = {
    # shares
    "shares_title": ("Mes partages", "My shares"),
    "shares_text": _both(
        "Pour montrer un document à un propriétaire, une banque, un employeur : un code de partage et un second secret,"
        " pour un temps et un nombre d’ouvertures.",
        "To show a document to a landlord, a bank, an employer: a share code and a second secret, for a time and a"
        " number of openings.",
    ),
    "shares_none": ("Aucun partage.", "No share."),
    "sharing_new": ("Partager avec un tiers", "Share with a third party"),
    "sharing_new_text": _both(
        "Vous choisissez ce que vous montrez, à qui, pourquoi et jusqu’à quand. Chaque ouverture paraît dans votre"
        " journal.",
        "You choose what you show, to whom, why and until when. Each opening appears in your journal.",
    ),
    "sharing_nothing": (
        "Votre coffre ne contient aucun document en vigueur à partager.",
        "Your safe holds no document in force to share.",
    ),
    "sharing_documents": ("Documents", "Documents"),
    "sharing_documents_hint": ("Dix au plus.", "Ten at most."),
    "sharing_recipient": ("Destinataire", "Recipient"),
    "sharing_recipient_hint": (
        "Par exemple : Agence du Port, pour la location.",
        "For instance: Harbour Agency, for the flat.",
    ),
    "sharing_words": ("Précision", "More words"),
    "sharing_end": ("Dernier jour", "Last day"),
    "sharing_end_hint": ("Dans {count} jours au plus.", "In at most {count} days."),
    "sharing_views_label": ("Ouvertures", "Openings"),
    "sharing_views_hint": ("De 1 à {count}.", "From 1 to {count}."),
    "sharing_form": ("Ce qui est donné", "What is given"),
    "form_watermark": ("Une copie marquée", "A watermarked copy"),
    "form_watermark_hint": (
        "Le nom du destinataire et la finalité sont écrits sur chaque page ; l’original ne sort pas.",
        "The recipient’s name and the purpose are written on each page; the original does not leave.",
    ),
    "form_original": ("L’original", "The original"),
    "form_original_hint": (
        "Le fichier lui-même, avec sa valeur probante.",
        "The file itself, with its probative value.",
    ),
    "form_evidence": ("Le dossier de preuve", "The evidence bundle"),
    "sharing_evidence": ("Dossier de preuve", "Evidence bundle"),
    "sharing_evidence_yes": ("Le donner aussi", "Give it too"),
    "sharing_evidence_hint": (
        "Il contient l’original : possible seulement avec lui.",
        "It holds the original: possible only together with it.",
    ),
    "value_no": ("non", "no"),
    "sharing_check_text": (
        "Vous êtes sur le point d’ouvrir ces documents :",
        "You are about to open these documents:",
    ),
    "sharing_confirm": ("Créer le code de partage", "Make the share code"),
    "sharing_made": ("Le partage est créé", "The share is made"),
    "sharing_made_text": (
        "Notez les deux secrets maintenant : ils ne seront plus jamais montrés.",
        "Note both secrets now: they will never be shown again.",
    ),
    "sharing_code_title": ("Code de partage", "Share code"),
    "sharing_code_text": (
        "À écrire ou à imprimer. Il se tape sur la page",
        "To write or print. It is typed on the page",
    ),
    "sharing_secret_title": ("Second secret", "Second secret"),
    "sharing_secret_text": (
        "À dire autrement, par exemple au téléphone. Ne le joignez pas au code.",
        "To be told another way, for instance by telephone. Do not send it along with the code.",
    ),
    "sharing_slip": (
        "Télécharger le feuillet à remettre (PDF, sans le second secret)",
        "Download the slip to hand over (PDF, without the second secret)",
    ),
    "sharing_follow": ("Suivre ce partage", "Follow this share"),
    "sharing_one": ("Partage", "Share"),
    "sharing_live": ("Ouvert", "Open"),
    "sharing_exhausted": ("Épuisé", "Used up"),
    "sharing_ended": ("Terminé", "Over"),
    "sharing_withdrawn": ("Retiré", "Withdrawn"),
    "sharing_used": ("{used} sur {views}", "{used} of {views}"),
    "sharing_opened_last": ("Ouvert pour la dernière fois", "Last opened"),
    "sharing_refused_tries": ("Essais refusés", "Refused tries"),
    "sharing_never_again": (
        "Le code et le second secret ne peuvent pas être montrés de nouveau : le service ne les garde pas.",
        "Code and second secret cannot be shown again: the service does not keep them.",
    ),
    "sharing_withdraw": ("Retirer ce partage", "Withdraw this share"),
    "sharing_withdraw_text": (
        "Plus rien ne s’ouvre par ce code, dès maintenant, même pour qui l’a déjà ouvert.",
        "Nothing opens by this code any more, from now on, not even for who has it open.",
    ),
    "wrong_recipient": ("Dites pour qui, en 120 signes au plus.", "Say for whom, in at most 120 characters."),
    "wrong_views": ("Indiquez un nombre d’ouvertures permis.", "Give a number of openings that is allowed."),
    "wrong_form": ("Choisissez ce qui est donné.", "Choose what is given."),
    "wrong_purpose": ("Choisissez pourquoi.", "Choose what for."),
    "done_partage-retire": ("Le partage est retiré.", "The share is withdrawn."),
    "done_partage-deja": (
        "Ce partage est déjà créé ; ses secrets ne peuvent pas être montrés de nouveau.",
        "This share is made already; its secrets cannot be shown again.",
    ),
    # mandates
    "mandates_title": ("Mandats", "Mandates"),
    "mandates_given": ("Qui peut agir pour moi", "Who may act for me"),
    "mandates_given_text": _both(
        "Vous donnez un mandat à une personne, pour certains actes et un temps. Chaque acte qu’elle fait paraît dans"
        " votre journal.",
        "You give a person a mandate, for some acts and a time. Each act of theirs appears in your journal.",
    ),
    "mandates_given_none": ("Personne n’agit pour vous.", "Nobody acts for you."),
    "mandates_held": ("Pour qui je peux agir", "For whom I may act"),
    "mandates_held_text": (
        "Pour recevoir un mandat, donnez cet identifiant à la personne qui vous le confie :",
        "To be given a mandate, tell this identifier to the person who entrusts you:",
    ),
    "mandates_held_none": ("Vous n’avez pas de mandat.", "You hold no mandate."),
    "mandate_one": ("Mandat", "Mandate"),
    "mandate_new": ("Donner un mandat", "Give a mandate"),
    "mandate_new_text": (
        "La personne agira en votre nom, dans les limites que vous fixez. Vous pourrez y mettre fin à tout moment.",
        "The person will act in your name, within the limits you set. You can end it at any time.",
    ),
    "mandate_for": ("Pour {name}", "For {name}"),
    "act_for": ("Agir pour {name}", "Act for {name}"),
    "mandate_kind_proxy": ("Procuration", "Proxy"),
    "mandate_kind_guardian": ("Tutelle ou protection", "Guardianship"),
    "mandate_kind_representative": ("Représentation d’une société", "Representation of a company"),
    "mandate_live": ("En cours", "In force"),
    "mandate_to-come": ("À venir", "To come"),
    "mandate_expired": ("Arrivé à son terme", "Expired"),
    "mandate_revoked": ("Retiré", "Revoked"),
    "mandate_renounced": ("Abandonné", "Renounced"),
    "mandate_what": ("Nature", "Kind"),
    "mandate_holder": ("Au nom de", "In the name of"),
    "mandate_mandatary": ("Identifiant de la personne", "Identifier of the person"),
    "mandate_mandatary_hint": (
        "Elle le trouve sur sa propre page « Mandats » et vous le communique.",
        "It is on that person’s own page “Mandates”, who tells it to you.",
    ),
    "mandate_scope": ("Ce qu’elle pourra faire", "What the person may do"),
    "scope_read": ("Consulter les documents", "Look at documents"),
    "scope_read_hint": ("et le journal, et suivre les démarches", "and the journal, and follow cases"),
    "scope_deposit": ("Déposer et classer", "Submit and classify"),
    "scope_deposit_hint": ("sans lire ce qui est dans le coffre", "without reading what is in the safe"),
    "scope_answer": ("Répondre aux demandes", "Answer requests"),
    "scope_answer_hint": ("donner et retirer des consentements", "give and withdraw consents"),
    "scope_share": ("Partager avec des tiers", "Share with third parties"),
    "scope_share_hint": ("créer et retirer des codes de partage", "make and withdraw share codes"),
    "mandate_types": ("Types de documents", "Types of document"),
    "mandate_types_hint": (
        "Séparés par des virgules ; sans rien, tous les types.",
        "Separated by commas; with none, all types.",
    ),
    "mandate_types_all": ("tous", "all"),
    "mandate_basis": ("Sur quoi il repose", "What it rests on"),
    "mandate_basis_hint": (
        "Par exemple : procuration du 3 mars, pour la vente de l’appartement.",
        "For instance: power of attorney of 3 March, for the sale of the flat.",
    ),
    "mandate_from": ("Début", "Start"),
    "mandate_from_hint": ("Sans date, tout de suite.", "Without a day, at once."),
    "mandate_now": ("tout de suite", "at once"),
    "mandate_until": ("Dernier jour", "Last day"),
    "mandate_until_hint": (
        "Obligatoire : aucun mandat n’est sans fin.",
        "Needed: no mandate is without end.",
    ),
    "mandate_check_text": (
        "Cette personne pourra agir en votre nom :",
        "This person will be able to act in your name:",
    ),
    "mandate_confirm": ("Donner ce mandat", "Give this mandate"),
    "mandate_revoke": ("Retirer ce mandat", "Revoke this mandate"),
    "mandate_renounce": ("Abandonner ce mandat", "Renounce this mandate"),
    "mandate_end_text": (
        "Il cesse aussitôt, et cela est inscrit au registre.",
        "It ends at once, and that is put into the ledger.",
    ),
    "mandate_reason": ("Raison", "Reason"),
    "mandate_over_text": (
        "Le mandat sous lequel vous agissiez ne compte plus. Revenez à votre propre espace.",
        "The mandate you were acting under no longer counts. Go back to your own space.",
    ),
    "wrong_mandatary": (
        "Indiquez l’identifiant d’une autre personne.",
        "Give the identifier of another person.",
    ),
    "wrong_scope": ("Choisissez au moins une chose à permettre.", "Choose at least one thing to allow."),
    "wrong_basis": (
        "Dites sur quoi repose ce mandat, en 500 signes au plus.",
        "Say what this mandate rests on, in at most 500 characters.",
    ),
    "wrong_starts_at": ("Indiquez un jour, aujourd’hui ou plus tard.", "Give a day, today or later."),
    "wrong_document_types": (
        "Indiquez au plus 20 types, avec des lettres et des chiffres.",
        "Give at most 20 types, in letters and digits.",
    ),
    "done_mandat-donne": (
        "Le mandat est donné et inscrit au registre.",
        "The mandate is given, and in the ledger.",
    ),
    "done_mandat-fini": ("Le mandat a pris fin.", "The mandate has ended."),
}
