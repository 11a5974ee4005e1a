"""The words of logging in, of one's access and of logging out; French first."""

from __future__ import annotations


def _both(french: str, english: str) -> tuple[str, str]:
    return french, english


LOGIN_WORDS: dict[str, tuple[str, str]] = {
    "nav_login": ("Se connecter", "Log in"),
    "nav_access": ("Mes accès", "My access"),
    "login_title": ("Se connecter", "Log in"),
    "login_text": (
        "Choisissez comment prouver qui vous êtes. Vous irez chez ce fournisseur, puis vous reviendrez ici.",
        "Choose how to prove who you are. You will go to that provider, then come back here.",
    ),
    "login_with": ("Continuer avec {provider}", "Continue with {provider}"),
    "login_none": (
        "Aucun fournisseur d’identité n’est disponible pour l’instant.",
        "No identity provider is available at the moment.",
    ),
    "other_way_title": ("Sans identité numérique", "Without a digital identity"),
    "other_way": _both(
        "L’identité numérique n’est jamais obligatoire. Vous pouvez faire les mêmes démarches au guichet de"
        " l’administration concernée, avec l’aide d’un agent, ou par courrier sur papier. Vous n’y perdez aucun droit.",
        "A digital identity is never compulsory. You can do the same at the counter of the administration concerned,"
        " with the help of an agent, or by post on paper. You lose no right by it.",
    ),
    "leaving_title": ("Vous allez chez {provider}", "You are going to {provider}"),
    "leaving_text": (
        "La page s’ouvre d’elle-même. Si rien ne se passe, suivez ce lien.",
        "The page opens by itself. If nothing happens, follow this link.",
    ),
    "leaving_link": ("Continuer chez {provider}", "Continue at {provider}"),
    "parting_title": ("Vous êtes déconnecté d’ici", "You are logged out here"),
    "parting_text": (
        "Il reste à fermer la session chez {provider}. La page s’ouvre d’elle-même ; sinon, suivez ce lien.",
        "What remains is to end the session at {provider}. The page opens by itself; otherwise follow this link.",
    ),
    "parting_link": ("Se déconnecter aussi chez {provider}", "Log out at {provider} too"),
    "left_title": ("Vous êtes déconnecté", "You are logged out"),
    "left_text": (
        "Votre session est terminée. Sur un ordinateur partagé, fermez aussi le navigateur.",
        "Your session has ended. On a shared computer, close the browser too.",
    ),
    "log_out": ("Se déconnecter", "Log out"),
    "access_title": ("Mes accès", "My access"),
    "access_as": ("Connecté en tant que {name}.", "Logged in as {name}."),
    "access_level": ("Niveau d’identification : {level}.", "Level of identification: {level}."),
    "level_none": ("non établi", "not established"),
    "level_low": ("faible", "low"),
    "level_substantial": ("substantiel", "substantial"),
    "level_high": ("élevé", "high"),
    "sessions_title": ("Sessions ouvertes", "Open sessions"),
    "session_here": ("cette session", "this session"),
    "session_device": ("navigateur non précisé", "browser not told"),
    "session_since": ("ouverte le {time}", "opened on {time}"),
    "session_seen": ("dernière activité le {time}", "last used on {time}"),
    "session_ends": ("se termine au plus tard le {time}", "ends on {time} at the latest"),
    "session_end": ("Fermer cette session", "End this session"),
    "session_end_all": ("Fermer toutes les autres sessions", "End all other sessions"),
    "identities_title": ("Moyens de connexion", "Ways to log in"),
    "identities_text": (
        "Vous pouvez relier plusieurs identités numériques à ce compte. Il faut prouver les deux.",
        "You can link several digital identities to this account. Both must be proven.",
    ),
    "identity_since": ("relié le {time}", "linked on {time}"),
    "identity_unlink": ("Retirer ce moyen", "Take this way away"),
    "identity_link": ("Relier {provider}", "Link {provider}"),
    "step_up_title": ("Prouver de nouveau votre identité", "Prove your identity again"),
    "step_up_level": (
        "Cet acte demande une identification de niveau « {level} ».",
        "This act asks for an identification of level “{level}”.",
    ),
    "step_up_fresh": (
        "Cet acte demande une identification de moins de {minutes} minutes.",
        "This act asks for an identification less than {minutes} minutes old.",
    ),
    "step_up_back": (
        "Vous reviendrez ensuite où vous en étiez.",
        "Then you will come back to where you were.",
    ),
}
