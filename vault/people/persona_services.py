"""Services and purposes of the made-up administrations of development."""

from __future__ import annotations

from vault.authorization.purposes import Purpose, Service

_COMMON = (
    Purpose("instruction-dossier", "Instruction d’un dossier", "Treating a file"),
    Purpose("controle", "Contrôle d’une pièce", "Checking a document"),
    Purpose("delivrance", "Délivrance d’un document", "Issuing a document"),
    Purpose("rectification", "Rectification d’une erreur", "Correcting an error"),
    Purpose("renseignement-titulaire", "Réponse à une question du titulaire", "Answering the holder"),
    Purpose("audit", "Audit interne", "Internal audit"),
)
_SCHOOL = Purpose("inscription-scolaire", "Inscription scolaire", "School registration")
_PAY = Purpose("paie", "Établissement de la paie", "Payroll")
SERVICES = (
    Service("mairie-specimen", "", "Mairie, autres services", "Town hall, other services", (*_COMMON, _SCHOOL)),
    Service("mairie-specimen", "etat-civil", "État civil", "Civil status", (*_COMMON, _SCHOOL)),
    Service("employeur-specimen", "", "Manufacture, autres services", "Works, other services", (*_COMMON, _PAY)),
    Service("employeur-specimen", "paie", "Service de la paie", "Payroll office", (*_COMMON, _PAY)),
)  # fmt: skip
