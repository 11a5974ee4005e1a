"""Words about safes that move to another place. French first."""

from __future__ import annotations

from vault.messages.entries import Entry

MOVES = {
    "SAFE_MOVED": Entry(
        503,
        "Ce coffre a été déplacé : {to}.",
        "Démarrez le service avec les réglages de sa nouvelle place. Si le déménagement n’est pas fini, relancez la "
        "même commande « probans migrate », ou reprenez-le avec --undo.",
        "This safe was moved: {to}.",
        "Start the service with the settings of its new place. If the move is not finished, run the same "
        "`probans migrate` again, or take it back with --undo.",
    ),
    "SAFE_IN_USE": Entry(
        503,
        "Ce coffre est occupé : on ne déplace un coffre que lorsque personne n’y travaille.",
        "Arrêtez le service et les autres commandes, ou attendez la fin du déménagement.",
        "This safe is in use: a safe is moved only while nobody works in it.",
        "Stop the service and other commands, or wait until the move is over.",
    ),
    "MOVE_UNSUPPORTED": Entry(
        409,
        "Ce coffre ne peut pas être déplacé ainsi.",
        "« probans migrate » déplace un coffre dont la base est un fichier SQLite et dont le registre est publié.",
        "This safe cannot be moved in this way.",
        "`probans migrate` moves a safe whose database is an SQLite file and whose ledger is published.",
    ),
    "MOVE_ELSEWHERE": Entry(
        409,
        "Ce coffre a commencé à déménager ailleurs : {to}.",
        "Finissez ce déménagement-là, ou reprenez-le avec --undo.",
        "This safe began to move elsewhere: {to}.",
        "Finish that move, or take it back with --undo.",
    ),
    "MOVE_ORIGIN": Entry(
        409,
        "Le registre du coffre est {origin}, les réglages de la nouvelle place disent {found}.",
        "Mettez PROBANS_ORIGIN={origin} : un registre garde son nom.",
        "The safe’s ledger is {origin}, the settings of the new place say {found}.",
        "Set PROBANS_ORIGIN={origin}: a ledger keeps its name.",
    ),
    "MOVE_VERSIONS": Entry(
        409,
        "La base du coffre est d’une autre version que ce logiciel.",
        "Démarrez puis arrêtez une fois le service à l’ancienne place avec ce logiciel.",
        "The safe’s database is of another version than this software.",
        "Start and stop the service once in the old place with this software.",
    ),
    "MOVE_TARGET_TAKEN": Entry(
        409,
        "La nouvelle place contient déjà autre chose.",
        "Prenez une base et des compartiments vides. Rien n’y a été effacé.",
        "The new place holds something else already.",
        "Take an empty database and empty buckets. Nothing was deleted there.",
    ),
    "MOVE_KEYS_MISSING": Entry(
        409,
        "Il manque des clés à la nouvelle place : {names}.",
        "Apportez ces fichiers dans son dossier de clés, ou ajoutez --with-keys.",
        "The new place lacks keys: {names}.",
        "Bring these files into its folder of keys, or add --with-keys.",
    ),
    "MOVE_KEYS_DIFFER": Entry(
        409,
        "La nouvelle place a d’autres clés : {names}.",
        "Les documents ne se liraient pas. Enlevez-les si rien d’autre n’en dépend, puis apportez celles du coffre.",
        "The new place has other keys: {names}.",
        "Documents could not be read. Remove these keys if nothing else rests on them, then bring those of the safe.",
    ),
    "MOVE_SOURCE_DAMAGED": Entry(
        409,
        "Un objet du coffre est abîmé : il n’est pas déplacé tel quel.",
        "Remettez-le d’une sauvegarde ; « probans storage scrub » nomme tous ceux qui le sont.",
        "An object of the safe is damaged: it is not moved as it is.",
        "Put it back from a backup; `probans storage scrub` names all that are.",
    ),
    "MOVE_ROWS_REFUSED": Entry(
        409,
        "La nouvelle base n’accepte pas des lignes de l’ancienne.",
        "Rien n’y a été écrit. Reprenez le déménagement avec --undo et signalez la table nommée.",
        "The new database does not take rows of the old one.",
        "Nothing was written there. Take the move back with --undo and report the table that is named.",
    ),
    "MOVE_UNVERIFIED": Entry(
        409,
        "La nouvelle place ne contient pas exactement ce qui a été copié.",
        "Vérifiez-la, puis relancez la même commande : elle reprend où elle en était.",
        "The new place does not hold exactly what was copied.",
        "Look at it, then run the same command again: it goes on where it was.",
    ),
    "MOVE_NOT_BEGUN": Entry(
        409,
        "Aucun déménagement n’a été commencé depuis cette place.",
        "Vérifiez le dossier donné par --from.",
        "No move was begun from this place.",
        "Check the folder given with --from.",
    ),
    "MOVE_COMMITTED": Entry(
        409,
        "Le coffre vit déjà à sa nouvelle place : {to}.",
        "Un déménagement fini ne se reprend pas : le registre se dédoublerait.",
        "The safe lives in its new place already: {to}.",
        "A move that is done is not taken back: the ledger would fork.",
    ),
    "MOVE_UNDECIDED": Entry(
        409,
        "Seule la base de la nouvelle place sait si le coffre y vit : {to}.",
        "Ajoutez --to avec ses réglages.",
        "Only the database of the new place knows whether the safe lives there: {to}.",
        "Add --to with its settings.",
    ),
}
