"""The words of tell-us-once: requests, consents, attestations, and what agents see; French first."""

from __future__ import annotations


def _both(french: str, english: str) -> tuple[str, str]:
    return french, english


REQUEST_WORDS: dict[str, tuple[str, str]] = {
    # requests
    "requests_title": ("Ce que l’on me demande", "What I am asked for"),
    "requests_text": _both(
        "Une administration peut vous demander une pièce que votre coffre contient déjà. Vous voyez qui, pourquoi et"
        " jusqu’à quand ; vous donnez, ou non. Un autre moyen existe toujours.",
        "An administration may ask for a document that your safe already holds. You see who, why and until when; you"
        " give it, or not. There is always another way.",
    ),
    "requests_none": ("Personne ne vous demande rien.", "Nobody asks you for anything."),
    "back_requests": ("Toutes les demandes", "All requests"),
    "back_request": ("Retour à la demande", "Back to the request"),
    "request_one": ("Demande de pièce", "Request for a document"),
    "request_open": ("Attend votre réponse", "Waits for your answer"),
    "request_accepted": ("Acceptée", "Accepted"),
    "request_declined": ("Refusée", "Declined"),
    "request_cancelled": ("Annulée par l’administration", "Cancelled by the administration"),
    "request_expired": ("Échue sans réponse", "Over without answer"),
    "asked_by": ("{name} demande", "{name} asks"),
    "answer_by": ("Répondre avant le {date}", "Answer before {date}"),
    "request_who": ("Qui demande", "Who asks"),
    "request_what": ("Ce qui est demandé", "What is asked for"),
    "request_why": ("Pourquoi", "Why"),
    "request_basis": ("Fondement légal", "Legal basis"),
    "request_case": ("Dossier", "Case"),
    "request_may": ("Ce qu’elle pourra faire", "What it may do"),
    "request_days": ("Durée de l’accès", "Length of access"),
    "request_until": ("Réponse attendue avant le", "Answer expected before"),
    "request_other": ("L’autre moyen", "The other way"),
    "request_free": (
        "Vous pouvez toujours préférer ce moyen ; vous n’y perdez aucun droit.",
        "You may always prefer this way; you lose no right by it.",
    ),
    "way_counter": ("Au guichet :", "At the counter:"),
    "way_paper": ("Sur papier :", "On paper:"),
    "may_describe": (
        "savoir que le document existe et ce qu’il est",
        "know that the document exists and what it is",
    ),
    "may_read": ("lire le document", "read the document"),
    "may_evidence": ("prendre le dossier de preuve", "take the evidence bundle"),
    "answer_title": ("Choisir ce que vous donnez", "Choose what you give"),
    "answer_give": ("Donner un document", "Give a document"),
    "answer_attest": ("Faire attester", "Have it attested"),
    "answer_decline": ("Refuser", "Decline"),
    "answer_upload": (
        "Déposer un autre document pour cette demande",
        "Submit another document for this request",
    ),
    "choose_documents": ("Documents à donner", "Documents to give"),
    "choose_source": ("Acte dont l’attestation est tirée", "Act that the attestation follows from"),
    "choose_source_hint": (
        "L’administration reçoit la réponse et sa preuve, pas l’acte lui-même.",
        "The administration gets the answer and its proof, not the act itself.",
    ),
    "attested_value": ("réponse : {value}", "answer: {value}"),
    "no_candidate": (
        "Votre coffre ne contient aucun document de ce type en vigueur.",
        "Your safe holds no document of this type in force.",
    ),
    "no_candidate_attribute": (
        "Aucun acte en vigueur dans votre coffre n’établit ce qui est demandé ; cela ne prouve pas le contraire.",
        "No act in force in your safe proves what is asked; that does not prove the contrary.",
    ),
    "shorter_end": ("Fin de l’accès", "End of access"),
    "shorter_end_hint": (
        "Sans date, l’accès dure {count} jours. Vous pouvez choisir un jour plus proche, et le retirer à tout moment.",
        "Without a day, access lasts {count} days. You may choose an earlier day, and take it back at any time.",
    ),
    "wrong_documents": (
        "Choisissez au moins un document de la liste.",
        "Choose at least one document of the list.",
    ),
    "wrong_ends_at": (
        "Indiquez un jour à venir, dans la durée permise.",
        "Give a day to come, within the time allowed.",
    ),
    "check_consent": ("Vous êtes sur le point de donner à {name} :", "You are about to give {name}:"),
    "check_attest": (
        "Vous êtes sur le point de faire attester à {name} :",
        "You are about to have attested to {name}:",
    ),
    "check_given": ("Ce qui est donné", "What is given"),
    "check_from": ("d’après : {title}", "from: {title}"),
    "check_until": ("Jusqu’au", "Until"),
    "check_sealed": _both(
        "Votre consentement sera scellé et inscrit au registre. Chaque lecture paraîtra dans votre journal. Vous pouvez"
        " le retirer à tout moment : l’accès cesse aussitôt.",
        "Your consent will be sealed and put into the ledger. Each reading will appear in your journal. You can"
        " withdraw it at any time: access stops at once.",
    ),
    "check_sealed_attest": (
        "L’attestation sera scellée et inscrite au registre. Une fois donnée, elle ne peut pas être reprise.",
        "The attestation will be sealed and put into the ledger. Once given, it cannot be taken back.",
    ),
    "check_confirm": ("Je consens", "I consent"),
    "check_confirm_attest": ("Faire attester", "Have it attested"),
    "decline_title": ("Refuser cette demande", "Decline this request"),
    "decline_text": (
        "{name} saura que vous refusez, et rien d’autre. L’autre moyen reste ouvert :",
        "{name} will learn that you decline, and nothing else. The other way stays open:",
    ),
    "decline_reason": ("Raison", "Reason"),
    "decline_reason_hint": ("L’administration la lira.", "The administration will read it."),
    "decline_button": ("Refuser la demande", "Decline the request"),
    "declined_because": ("Raison donnée :", "Reason given:"),
    "wrong_reason": ("Écrivez 500 signes au plus.", "Write at most 500 characters."),
    "given_title": ("Ce que vous avez donné", "What you gave"),
    "done_repondu": (
        "C’est donné, scellé et inscrit au registre.",
        "It is given, sealed, and in the ledger.",
    ),
    "done_decline": (
        "La demande est refusée ; c’est inscrit au registre.",
        "The request is declined; it is in the ledger.",
    ),
    # consents and attestations
    "consents_title": ("Mes consentements", "My consents"),
    "consents_text": (
        "À qui vous avez ouvert un document, pourquoi et jusqu’à quand. Chacun se retire d’un geste.",
        "To whom you opened a document, why and until when. Each is withdrawn in one step.",
    ),
    "consents_none": ("Aucun consentement.", "No consent."),
    "consent_title": ("Consentement", "Consent"),
    "consent_to": ("{type}, pour {name}", "{type}, for {name}"),
    "consent_of": ("Consentement : {type}", "Consent: {type}"),
    "consent_given": ("Donné le {date}", "Given on {date}"),
    "consent_sentence": ("{name} peut voir : {type}.", "{name} may see: {type}."),
    "consent_live": ("En cours", "Open"),
    "consent_ended": ("Terminé", "Over"),
    "consent_withdrawn": ("Retiré", "Withdrawn"),
    "consent_paper": ("Consentement scellé (.asice)", "Sealed consent (.asice)"),
    "withdrawal_paper": ("Retrait scellé (.asice)", "Sealed withdrawal (.asice)"),
    "consent_journal": ("Qui a consulté ce document", "Who looked at this document"),
    "withdraw_title": ("Retirer ce consentement", "Withdraw this consent"),
    "withdraw_text": (
        "{name} ne pourra plus rien lire, dès maintenant. Ce qui a été lu avant reste au journal.",
        "{name} will read nothing any more, from now on. What was read before stays in the journal.",
    ),
    "withdraw_reason": ("Raison", "Reason"),
    "withdraw_button": ("Retirer mon consentement", "Withdraw my consent"),
    "done_retire": (
        "Le consentement est retiré : l’accès a cessé.",
        "The consent is withdrawn: access has stopped.",
    ),
    "statement_title": ("Attestation d’attribut", "Attribute statement"),
    "statement_sentence": (
        "{name} a reçu cette réponse, et non l’acte lui-même.",
        "{name} got this answer, and not the act itself.",
    ),
    "statement_of": ("Au", "As of"),
    "statement_from": ("D’après", "From"),
    "statement_text": (
        "Elle dit ce qui était vrai à cet instant ; elle ne se retire pas.",
        "It says what was true at that moment; it is not taken back.",
    ),
    "statement_paper": ("Attestation scellée (.asice)", "Sealed statement (.asice)"),
    # agents
    "agent_title": ("Documents communiqués", "Documents given"),
    "agent_text": (
        "Ce que des titulaires ont consenti à montrer à votre service, en réponse à une demande.",
        "What holders consented to show to your service, in answer to a request.",
    ),
    "agent_none": ("Aucun document communiqué.", "No document given."),
    "agent_case": ("Dossier {case}", "Case {case}"),
    "agent_request": ("Demande du {date}", "Request of {date}"),
    "agent_purpose_title": ("Pourquoi ouvrir ce document ?", "What do you open this document for?"),
    "agent_purpose_text": _both(
        "Avant toute lecture, dites sa finalité. Le titulaire la verra dans son journal, avec votre administration et"
        " votre service ; vous y paraissez sous un pseudonyme.",
        "Before any reading, say what it is for. The holder will see it in the journal, with your administration and"
        " service; you appear there under a pseudonym.",
    ),
    "agent_purpose": ("Finalité", "Purpose"),
    "agent_purpose_code": (
        "Un code, par exemple : instruction-dossier.",
        "A code, for instance: instruction-dossier.",
    ),
    "agent_words": ("Précision", "More words"),
    "agent_words_hint": (
        "300 signes au plus ; le titulaire les lira.",
        "At most 300 characters; the holder will read them.",
    ),
    "wrong_purpose_words": ("Écrivez 300 signes au plus.", "Write at most 300 characters."),
    "agent_open": ("Ouvrir le document", "Open the document"),
    "agent_recorded": (
        "Cette consultation est inscrite au journal du titulaire.",
        "This look is written in the holder’s journal.",
    ),
}
