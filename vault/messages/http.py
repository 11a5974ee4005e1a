"""Words about the exchange itself: addresses, headers, forms. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

HTTP = {
    "HOST_REFUSED": Entry(
        421,
        "Ce service ne répond pas sous ce nom.",
        "Utilisez l’adresse que le service affiche à son démarrage.",
        "This service does not answer to this name.",
        "Use the address that the service prints when it starts.",
    ),
    "HTTP_INVALID": Entry(
        400,
        "La demande n’est pas du HTTP lisible.",
        "Vérifiez le logiciel qui l’envoie, et la taille de ses en-têtes.",
        "The request is not readable HTTP.",
        "Check the software that sends it, and the size of its headers.",
    ),
    "REQUEST_TIMEOUT": Entry(
        408,
        "L’envoi n’avance plus : il a été interrompu. Rien n’a été gardé.",
        "Vérifiez votre connexion, puis recommencez avec la même clé d’idempotence.",
        "The upload no longer moves: it was stopped. Nothing was kept.",
        "Check your connection, then try again with the same idempotency key.",
    ),
    "FORM_EXPIRED": Entry(
        403,
        "Ce formulaire n’est plus valable, ou il vient d’un autre site.",
        "Rechargez la page, puis recommencez.",
        "This form is no longer valid, or it comes from another site.",
        "Reload the page, then try again.",
    ),
}
