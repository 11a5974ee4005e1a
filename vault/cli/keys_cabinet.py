"""`probans keys csr`, `install`, `retire`, `list` and `check`: the keys that seal and timestamp."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console
from rich.table import Table

from signing.base import KeyPurpose
from signing.cabinet import HeldCertificate, KeyCabinet
from signing.cabinet_table import ACTIVE, WAITING, Entry
from signing.certificate_request import legal_person
from signing.errors import SigningError
from signing.held_cabinet import HeldCabinet, public_of, read_roots
from signing.signers import algorithm_of
from storage.errors import StorageError
from vault.backends.keys import (
    encryption_file,
    held_cabinet,
    open_cabinet,
    open_changer,
    open_wrapper,
    subject_of,
)
from vault.cli.common import FAILED, USAGE, fail, plain_errors, settings_for
from vault.clock import SystemClock, rfc3339
from vault.errors import SettingsRefused, VaultError
from vault.observability.expiry import days_left, level_of
from vault.sealing.held_keys import usable_keys
from vault.sealing.key_ceremony import Ceremony, demand_signature
from vault.settings import Settings

Data = Annotated[Path, typer.Option("--data", help="Folder of the safe.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="What the key is called in the cabinet.")]
File = Annotated[Path | None, typer.Option(dir_okay=False, metavar="FILE")]
_LEVELS = {
    "": "",
    "notice": "à prévoir / notice",
    "warning": "attention / warning",
    "urgent": "URGENT",
    "over": "ÉCHU / OVER",
}


def csr(
    identifier: Id,
    purpose: Annotated[KeyPurpose, typer.Option(help="What the key will do.")],
    organization: Annotated[str, typer.Option(help="Legal person whose seal it is.")],
    organization_id: Annotated[
        str, typer.Option(help="Its registered identifier, such as NTRFR-130025265 (EN 319 412-1).")
    ],
    common_name: Annotated[str, typer.Option(help="What the certificate is called.")],
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="Where the request goes.")],
    administration: Annotated[str, typer.Option(help="Administration whose act seal it is.")] = "",
    country: Annotated[str, typer.Option(help="Two letters.")] = "FR",
    kind: Annotated[str, typer.Option(help="Of a key that is made: p256 or rsa-3072.")] = "p256",
    passphrase_file: File = None,
    file: File = None,
    module: File = None,
    token: Annotated[str, typer.Option(help="Label of the token.")] = "",
    key: Annotated[str, typer.Option(help="Label of the key in the token; the id where none is given.")] = "",
    pin_file: File = None,
    data: Data = Path("demo/data"),
) -> None:
    """Préparer une clé et sa demande de certificat. / Make a key and the request for its certificate.

    In a PKCS#12 file (--passphrase-file, --file) or in a PKCS#11 token (--module, --token, --pin-file): the private
    key stays there. Called again, it writes the request again.
    """
    settings = settings_for(data)
    if kind not in ("p256", "rsa-3072"):
        raise typer.BadParameter("p256 or rsa-3072")
    with plain_errors(), usable_keys():
        ceremony = _ceremony(settings)
        folder = ceremony.table.parent
        if passphrase_file is not None and module is None:
            place = file or folder / f"{identifier}.p12"
            source = {"file": _named(place, folder), "passphrase_file": _named(passphrase_file, folder)}
            source_kind = "pkcs12"
        elif module is not None and pin_file is not None:
            source = {
                "module": str(module),
                **({"token": token} if token else {}),
                "key": key or identifier,
                "pin_file": _named(pin_file, folder),
            }
            source_kind = "token"
        else:
            fail(
                "Donnez --passphrase-file, ou --module, --token et --pin-file. / "
                "Give --passphrase-file, or --module, --token and --pin-file.",
                USAGE,
            )
        entry = Entry(identifier, purpose, WAITING, source_kind, source, administration)
        subject = legal_person(common_name, organization, organization_id, country)
        request = x509.load_der_x509_csr(ceremony.request(entry, subject, kind))
        try:
            output.write_bytes(request.public_bytes(Encoding.PEM))
        except OSError as error:
            raise SettingsRefused("SETTINGS_REFUSED", f"{output} cannot be written: {error}") from error
    typer.echo(f"{output} : {purpose.value} {administration} {subject_of_request(request)}")
    typer.echo(
        "L’autorité doit reprendre la politique de certificat demandée : le cachet en dépend. / "
        "The authority must keep the certificate policy that is asked for: the seal rests on it."
    )


def install(
    certificates: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="The certificate, then its issuers (PEM)."),
    ],
    data: Data = Path("demo/data"),
) -> None:
    """Installer un certificat reçu. / Take the certificate of a key that waits; running services find it themselves."""
    settings = settings_for(data)
    with plain_errors(), usable_keys():
        entry, leaf = _ceremony(settings).install(certificates, SystemClock())
    typer.echo(f"{entry.id} : {entry.purpose.value} {entry.administration}".rstrip())
    typer.echo(f"{subject_of(leaf)}, jusqu’au / until {rfc3339(leaf.not_valid_after_utc)}")


def retire(identifier: Id, data: Data = Path("demo/data")) -> None:
    """Mettre une clé hors service. / Take a key out of use; its certificate stays in the table."""
    with plain_errors(), usable_keys():
        entry = _ceremony(settings_for(data)).retire(identifier)
    typer.echo(f"{entry.id} : hors service / retired")


def list_keys(data: Data = Path("demo/data"), json: Json = False) -> None:
    """Lister les clés et leurs échéances. / List the keys, what they do, where they lie, and until when they last.

    Exit code: 0 nothing is over, 1 a certificate in use is.
    """
    settings = settings_for(data)
    with plain_errors(), usable_keys():
        # Whatever is wrong with it, it can be looked at.
        cabinet: KeyCabinet = (
            open_cabinet(settings, SystemClock())
            if settings.key_cabinet is None
            else held_cabinet(settings, SystemClock())
        )
        rows = [_row(each) for each in cabinet.overview()]
        roots = [_certificate(each) for each in cabinet.roots()]
        changer = open_changer(settings) if encryption_file(settings).exists() else None
        encryption = (
            None
            if changer is None
            else {
                "active": changer.active().hex(),
                "others": sorted(each.hex() for each in changer.ids() - {changer.active()}),
                "since": changer.activated(),
            }
        )
    if json:
        typer.echo(orjson.dumps({"keys": rows, "roots": roots, "encryption": encryption}))
    else:
        _tell(rows, roots, encryption)
    raise typer.Exit(FAILED if any(row["in_use"] and row["level"] == "over" for row in rows) else 0)


def check(data: Data = Path("demo/data"), json: Json = False) -> None:
    """Essayer chaque clé. / Open every key that is in force, have it sign once, and verify that.

    Exit code: 0 all of them work, 1 one does not.
    """
    settings = settings_for(data)
    with plain_errors():
        with usable_keys():
            cabinet = (
                held_cabinet(settings, SystemClock())
                if settings.key_cabinet is not None
                else open_cabinet(settings, SystemClock())
            )
        active = [each for each in cabinet.overview() if each.state == ACTIVE]
        found = [{"key": each.id, "problem": _problem(cabinet, each)} for each in active]
        found.append({"key": "key-encryption", "problem": _wrapping_problem(settings)})
    if json:
        typer.echo(orjson.dumps({"keys": found}))
    else:
        for row in found:
            typer.echo(f"{row['key']} : {row['problem'] or 'signe / works'}")
    raise typer.Exit(FAILED if any(row["problem"] for row in found) else 0)


def _problem(cabinet: KeyCabinet, held: HeldCertificate) -> str:
    """Say what is wrong with a key; "" when it signs."""
    try:
        if isinstance(cabinet, HeldCabinet):
            cabinet.key(held.id)
            demand_signature(cabinet.signer(held.id))
    except SigningError as error:
        return f"{error.code}: {error}"
    return ""


def _wrapping_problem(settings: Settings) -> str:
    if not encryption_file(settings).exists():
        return "KEYS_MISSING"
    try:
        wrapper = open_wrapper(settings)
        if wrapper.unwrap(wrapper.wrap(bytes(32), b"check"), b"check") != bytes(32):
            return "KEY_REFUSED"
    except (StorageError, VaultError) as error:
        return f"{error.code}: {error}"
    return ""


def _ceremony(settings: Settings) -> Ceremony:
    if settings.key_cabinet is None or settings.key_roots is None:
        raise SettingsRefused(
            "SETTINGS_REFUSED", "No key cabinet is named: set PROBANS_KEY_CABINET and PROBANS_KEY_ROOTS."
        )
    return Ceremony(
        settings.key_cabinet,
        read_roots(settings.key_roots),
        settings.key_timeout,
        development=not settings.is_production,
    )


def _named(path: Path, folder: Path) -> str:
    """Name a file as the table does: by its name within the table's folder, else in full."""
    full = path.absolute()
    return str(full.relative_to(folder.absolute())) if full.is_relative_to(folder.absolute()) else str(full)


def subject_of_request(request: x509.CertificateSigningRequest) -> str:
    """Name whom a request is for."""
    return request.subject.rfc4514_string()


def _certificate(certificate: x509.Certificate) -> dict[str, Any]:
    now, ends = SystemClock().now(), certificate.not_valid_after_utc
    return {
        "subject": subject_of(certificate),
        "sha256": certificate.fingerprint(SHA256()).hex(),
        "until": rfc3339(ends),
        "days": days_left(ends, now),
        "level": level_of(ends, now),
    }


def _row(held: HeldCertificate) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": held.id,
        "purpose": held.purpose.value,
        "administration": held.administration,
        "source": held.source,
        "state": held.state,
        "in_use": held.in_use,
    }
    if held.chain:
        row |= {
            "algorithm": algorithm_of(public_of(held.chain[0])),
            **_certificate(held.chain[0]),
            "issuers": [_certificate(each) for each in held.chain[1:]],
        }
    return {"algorithm": "", "until": "", "days": None, "level": "", "subject": "", **row}


def _tell(rows: list[dict[str, Any]], roots: list[dict[str, Any]], encryption: dict[str, Any] | None) -> None:
    table = Table(
        "clé / key", "usage / purpose", "administration", "lieu / source", "algorithme", "état / state",
        "jusqu’au / until", "jours / days", "",
    )  # fmt: skip
    for row in rows:
        state = f"{row['state']}, en service / in use" if row["in_use"] else row["state"]
        days = "" if row["days"] is None else str(row["days"])
        table.add_row(
            row["id"], row["purpose"], row["administration"], row["source"], row["algorithm"], state,
            row["until"], days, _LEVELS[row["level"]],
        )  # fmt: skip
    for root in roots:
        table.add_row(
            "", "racine / root", root["subject"], "", "", "", root["until"], str(root["days"]),
            _LEVELS[root["level"]],
        )  # fmt: skip
    Console(width=200).print(table)
    if encryption is not None:
        others = ", ".join(encryption["others"]) or "—"
        typer.echo(
            f"chiffrement des clés / key encryption: {encryption['active']}; d’avant / before: {others}"
        )
