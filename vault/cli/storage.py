"""`probans storage`: buckets of an object store, the proof of its locks, and the comparison of all it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from vault.cli.audit_words import summary, tell
from vault.cli.common import FAILED, USAGE, existing, fail, plain_errors, settings_for
from vault.cli.ledger_options import EXIT_CODES, INDETERMINATE, shown_progress

storage = typer.Typer(
    help="Le magasin d'objets : le préparer, l'éprouver, le relire. / The object store: prepare, prove and scrub it.",
    no_args_is_help=True,
    add_completion=False,
)
Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
AccessKey = Annotated[
    Path | None,
    typer.Option(
        exists=True, dir_okay=False, metavar="FILE", help="Access key of the store's administrator."
    ),
]
SecretKey = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, metavar="FILE", help="Its secret."),
]
Second = Annotated[bool, typer.Option("--second", help="The second store instead of the first.")]
_TRIED = {
    "control-delete": "contrôle : effacer ce qui n'est pas verrouillé / control: delete what is not locked",
    "control-bypass": "contrôle : passer outre un verrou GOVERNANCE / control: pass over a GOVERNANCE lock",
    "delete-version": "effacer une version / delete a version",
    "delete-version-bypass": "l'effacer en passant outre / delete it with the bypass header",
    "delete-many-bypass": "l'effacer par lot / delete it in a batch",
    "shorten": "raccourcir le verrou / shorten the lock",
    "shorten-bypass": "le raccourcir en passant outre / shorten it with the bypass header",
    "downgrade": "l'affaiblir en GOVERNANCE / weaken it to GOVERNANCE",
    "downgrade-bypass": "l'affaiblir en passant outre / weaken it with the bypass header",
    "remove-lock-bypass": "ôter le verrou / take the lock away",
    "overwrite": "écrire par-dessus / write over it",
    "hide": "cacher par un marqueur / hide it by a delete marker",
    "suspend-versioning": "suspendre les versions / suspend versioning",
    "drop-bucket-lock": "désactiver les verrous / switch Object Lock off",
    "empty-bucket-lock": "vider la règle du compartiment / empty the bucket's lock rule",
    "delete-bucket": "supprimer le compartiment / delete the bucket",
}
_OUTCOMES = {
    "refused": "refusé / refused",
    "harmless": "sans effet / no effect",
    "succeeded": "RÉUSSI / SUCCEEDED",
    "undecided": "INDÉCIS / UNDECIDED",
}


@storage.command("make-buckets")
def make_buckets(
    data: Data = Path("demo/data"),
    access_key: AccessKey = None,
    secret_key: SecretKey = None,
    second: Second = False,
) -> None:
    """Créer les deux compartiments s'ils manquent. / Make the two buckets that are missing, and check them."""
    settings = settings_for(data)
    with plain_errors():
        settings.check_store(production=settings.is_production)
        if second and settings.store2_folder is not None:
            from vault.backends.stores import prepare_folder

            prepare_folder(settings.store2_folder)
            typer.echo(f"{settings.store2_folder} : prêt / ready")
            return
        from vault.backends import s3 as bootstrap_s3
        from vault.backends.store_places import place_of

        place = place_of(settings, second=second)
        bootstrap_s3.make_buckets(place, bootstrap_s3.open_client(place, access_key, secret_key))
    typer.echo(f"{place.bucket} : versions, Object Lock")
    typer.echo(f"{place.plain_bucket} : ni versions ni verrous / neither versions nor locks")


@storage.command("prove")
def prove(
    data: Data = Path("demo/data"),
    access_key: AccessKey = None,
    secret_key: SecretKey = None,
    second: Second = False,
    json: Json = False,
) -> None:
    """Attaquer les verrous du magasin. / Attack the store's locks as its administrator could; the service may run.

    Exit code: 0 nothing succeeded, 1 something did or could not be tried.
    """
    settings = settings_for(data)
    with plain_errors():
        from vault.backends import s3 as bootstrap_s3
        from vault.backends import store_proofs
        from vault.backends.store_places import place_of

        place = place_of(settings, second=second)
        client = bootstrap_s3.open_client(place, access_key, secret_key)
        proof = bootstrap_s3.prove(settings, place, client)
        bootstrap_s3.save_proof(place, proof)
    if json:
        typer.echo(orjson.dumps(store_proofs.to_json(proof)))
    else:
        typer.echo(f"{proof.endpoint}/{proof.bucket} ({proof.server or '?'})")
        table = Table("essai / attempt", "résultat / outcome", "réponse / answer")
        for each in proof.attempts:
            table.add_row(_TRIED[each.name], _OUTCOMES[each.outcome], each.found)
        Console(width=160).print(table)
        typer.echo(
            "conditions (If-None-Match) : honorées / honoured"
            if proof.conditions
            else "conditions (If-None-Match) : ignorées / ignored"
        )
        typer.echo(
            "preuve / proof: rien n'a réussi / nothing succeeded"
            if proof.holds
            else "ce magasin ne convient pas / this store will not do"
        )
    raise typer.Exit(0 if proof.holds else FAILED)


@storage.command("scrub")
def scrub(
    data: Data = Path("demo/data"),
    rate: Annotated[
        float, typer.Option(min=0, metavar="MIB", help="Mebibytes read in a second at most; 0: no limit.")
    ] = 50.0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Of two stores: make good in one what the other one has.")
    ] = False,
    json: Json = False,
) -> None:
    """Relire tout le magasin. / Read every object, compare it with its address; the service may run.

    Exit code: 0 everything holds (or was repaired), 1 something does not, 3 something cannot be decided.
    """
    from vault.bootstrap import open_parts
    from vault.maintenance.scrubbing import Pace
    from vault.maintenance.scrubbing import scrub as scrub_store
    from vault.maintenance.site_scrubbing import scrub_sites

    with plain_errors():
        parts = open_parts(settings_for(existing(data)))
        try:
            if repair and parts.sites is None:
                fail("--repair : il n'y a qu'un magasin. / there is only one store.", USAGE)
            pace, origin = Pace(int(rate * (1 << 20))), parts.settings.origin
            with shown_progress("scrub") as progress:
                if parts.sites is None:
                    report = scrub_store(
                        parts.database,
                        parts.objects,
                        parts.clock,
                        pace=pace,
                        origin=origin,
                        progress=progress,
                    )
                else:
                    report = scrub_sites(
                        parts.database,
                        parts.sites,
                        parts.clock,
                        pace=pace,
                        repair=repair,
                        origin=origin,
                        progress=progress,
                    )
        finally:
            parts.close()
    if json:
        repaired = [
            {"code": each.code, "check": each.check, "where": each.where, "done": each.found}
            for each in report.repaired
        ]
        found = {"verdict": report.verdict, "scrub": {**summary(report), "repaired": repaired}}
        typer.echo(orjson.dumps(found))
    else:
        tell("scrub", report)
        for each in report.repaired:
            typer.echo(f"  {each.code} {each.where}: réparé / repaired, {each.found}")
    raise typer.Exit(EXIT_CODES[report.verdict])


@storage.command("catch-up")
def catch_up(data: Data = Path("demo/data"), json: Json = False) -> None:
    """Donner à chaque magasin ce que l'autre lui doit. / Give each of two stores what the other owes it.

    The service does so by itself; this is for when it does not run. Exit code: 0 nothing is owed any more, 1 something
    is, 3 another process is at it.
    """
    from vault.bootstrap import open_parts
    from vault.maintenance.catching_up import catch_up as pay_all

    with plain_errors():
        parts = open_parts(settings_for(existing(data)))
        try:
            if parts.sites is None:
                fail("Il n'y a qu'un magasin. / There is only one store.", USAGE)
            done = pay_all(parts.database, parts.sites)
            states = {site.name: site.state for site in parts.sites.each}
        finally:
            parts.close()
    if done is None:
        fail("Un autre processus y travaille. / Another process is at it.", INDETERMINATE)
    down = sorted(name for name, state in states.items() if not state.ok)
    if json:
        typer.echo(
            orjson.dumps({"paid": done.paid, "left": done.left, "conflicts": done.conflicts, "down": down})
        )
    else:
        typer.echo(
            f"rattrapé / caught up: {done.paid}, reste / left: {done.left}, "
            f"contradictions / conflicts: {done.conflicts}"
        )
        for name in down:
            typer.echo(f"{name} : injoignable / down ({states[name].note})")
    raise typer.Exit(FAILED if done.left or down else 0)


@storage.command("renew-locks")
def renew_locks(data: Data = Path("demo/data")) -> None:
    """Prolonger les verrous du registre. / Lengthen the ledger's locks that are half over; the service may run.

    The ledger outlasts its documents: once a year is enough with locks of ten years.
    """
    from vault.bootstrap import open_parts

    with plain_errors():
        parts = open_parts(settings_for(existing(data)))
        try:
            renewed = parts.root_log.renew()
        finally:
            parts.close()
    typer.echo(f"verrous prolongés / locks lengthened: {renewed}")
