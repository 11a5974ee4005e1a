"""Words about logging in, sessions and proofs of identity. French first; each says which other way there is."""

from __future__ import annotations

from vault.messages.entries import Entry

_FR = "Sans identité numérique, les mêmes démarches se font au guichet ou sur papier."
_EN = "Without a digital identity, the same can be done at the counter or on paper."

LOGINS = {
    "LOGIN_EXPIRED": Entry(
        400,
        "Cette connexion a expiré, a déjà servi ou vient d’un autre navigateur.",
        "Recommencez la connexion depuis la page « Se connecter ».",
        "This login has expired, was used already or comes from another browser.",
        "Begin again from the page “Log in”.",
    ),
    "LOGIN_CANCELLED": Entry(
        401,
        "La connexion a été abandonnée chez le fournisseur d’identité.",
        f"Recommencez, ou choisissez un autre moyen. {_FR}",
        "The login was given up at the identity provider.",
        f"Begin again, or choose another way. {_EN}",
    ),
    "LOGIN_REFUSED": Entry(
        401,
        "La réponse du fournisseur d’identité n’a pas pu être acceptée.",
        "Recommencez la connexion. Si cela se répète, prévenez le service.",
        "The identity provider’s answer could not be accepted.",
        "Begin the login again. If it happens again, tell the service.",
    ),
    "LOGIN_NOT_FRESH": Entry(
        401,
        "Le fournisseur d’identité ne vous a pas demandé de vous identifier à nouveau.",
        "Recommencez et identifiez-vous de nouveau chez le fournisseur.",
        "The identity provider did not ask you to prove your identity again.",
        "Begin again, and log in again at the provider.",
    ),
    "LOGIN_ROLE_REFUSED": Entry(
        403,
        "Ce compte ne donne aucun droit ici.",
        "Si vous agissez pour une administration, demandez-lui de vérifier votre habilitation.",
        "This account gives no rights here.",
        "If you act for an administration, ask it to check your authorisation.",
    ),
    "LINK_NEEDED": Entry(
        409,
        "Vous avez déjà un compte ici, avec un autre moyen de connexion.",
        "Connectez-vous avec cet autre moyen, puis reliez celui-ci depuis la page « Mes accès ».",
        "You already have an account here, with another way to log in.",
        "Log in that other way, then link this one from the page “My access”.",
    ),
    "ACCOUNT_NOT_EMPTY": Entry(
        409,
        "Ces deux comptes ne peuvent pas être réunis : le second contient déjà quelque chose.",
        "Gardez les deux comptes, ou demandez de l’aide au guichet. Rien n’a été changé.",
        "These two accounts cannot be joined: the second one already holds something.",
        "Keep both accounts, or ask for help at the counter. Nothing was changed.",
    ),
    "LAST_IDENTITY": Entry(
        409,
        "C’est votre seul moyen de connexion : il ne peut pas être retiré.",
        "Reliez-en d’abord un autre, puis recommencez.",
        "This is your only way to log in: it cannot be taken away.",
        "Link another one first, then try again.",
    ),
    "OTHER_PERSON": Entry(
        401,
        "Vous vous êtes identifié avec un autre compte que celui de cette session.",
        "Recommencez avec le compte de la session, ou déconnectez-vous d’abord.",
        "You proved the identity of another account than that of this session.",
        "Begin again with the account of the session, or log out first.",
    ),
    "SESSION_ENDED": Entry(
        401,
        "Votre session est terminée.",
        "Connectez-vous de nouveau.",
        "Your session has ended.",
        "Log in again.",
    ),
    "STEP_UP_REQUIRED": Entry(
        401,
        "Pour cet acte, votre identité doit être prouvée à nouveau ou plus sûrement.",
        f"Prouvez-la depuis la page {{place}}, puis recommencez. {_FR}",
        "For this act, your identity must be proven again or more surely.",
        f"Prove it on the page {{place}}, then try again. {_EN}",
    ),
    "MANDATE_OVER": Entry(
        404,
        "Le mandat sous lequel vous agissiez ne compte plus.",
        "Revenez à votre propre espace.",
        "The mandate you were acting under no longer counts.",
        "Go back to your own space.",
    ),
    "ASSURANCE_TOO_LOW": Entry(
        401,
        "Le niveau d’identification obtenu ne suffit pas pour cet acte.",
        f"Utilisez un moyen d’identification plus sûr. {_FR}",
        "The level of identification obtained is not enough for this act.",
        f"Use a surer means of identification. {_EN}",
    ),
    "IDENTITY_UNAVAILABLE": Entry(
        503,
        "Le fournisseur d’identité ne répond pas.",
        f"Réessayez plus tard, ou choisissez un autre moyen. {_FR}",
        "The identity provider does not answer.",
        f"Try again later, or choose another way. {_EN}",
    ),
    "LOGOUT_REFUSED": Entry(
        400,
        "Cet avis de déconnexion n’est pas valable.",
        "Vérifiez la configuration du fournisseur d’identité.",
        "This logout message is not valid.",
        "Check the configuration of the identity provider.",
    ),
    "TWO_IDENTITIES": Entry(
        400,
        "La demande porte à la fois un jeton et une session.",
        "Envoyez l’un ou l’autre : on ne sait pas qui demande.",
        "The request carries both a token and a session.",
        "Send one or the other: it is unclear who asks.",
    ),
}
