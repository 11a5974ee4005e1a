"""Providers named in one JSON or TOML file; whatever it says that is not understood is refused in plain words."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from identity.base import LOGIN_S, Assurance, Authentication, ClaimMap, ProviderConfig
from identity.errors import ProviderMisconfigured
from identity.fetching import check_address
from identity.tokens import ALGORITHMS

MAX_FILE = 256 * 1024
MAX_SECRET = 4096
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_Text = Annotated[str, Field(min_length=1, max_length=200)]
_Names = Annotated[list[_Text], Field(max_length=64)]
_Map = Annotated[dict[_Text, _Text], Field(max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Claims(_Strict):
    name: _Names = list(ClaimMap().name)
    email: Annotated[str, Field(max_length=200)] = ClaimMap().email
    email_trusted: bool = False
    attributes: _Map = {}
    fixed: _Map = {}
    values: dict[_Text, _Map] = {}

    @field_validator("attributes", "fixed", "values")
    @classmethod
    def _attributes(cls, value: dict[str, object]) -> dict[str, object]:
        for name in value:
            if not _ATTRIBUTE.fullmatch(name):
                raise ValueError(f"`{name}` is no attribute: lower-case letters, digits and underscores")
        return value


class _Provider(_Strict):
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    issuer: _Text
    client_id: _Text
    authentication: Authentication = "client_secret_basic"
    client_secret_file: _Text | None = None
    client_key_file: _Text | None = None
    client_key_id: Annotated[str, Field(max_length=200)] = ""
    client_audience: Literal["issuer", "token_endpoint"] = "issuer"
    scopes: _Names = ["openid", "profile", "email"]
    label_fr: _Text
    label_en: _Text
    claims: _Claims = _Claims()
    acr: dict[_Text, Assurance] = {}
    acr_default: Annotated[str, Field(max_length=200)] = ""
    default_assurance: Assurance | Literal[""] = ""
    algorithms: Annotated[_Names, Field(min_length=1)] = ["ES256", "RS256", "PS256", "EdDSA"]
    userinfo: bool = False
    demand_issuer_answer: bool = False
    timeout_s: Annotated[float, Field(gt=0, le=30)] = 5.0
    leeway_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    login_s: Annotated[float, Field(ge=60, le=LOGIN_S)] = LOGIN_S
    tls_ca_file: _Text | None = None

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        parts = check_address(value)
        if parts.query or "?" in value:
            raise ValueError("an issuer has no query")
        return value

    @field_validator("algorithms")
    @classmethod
    def _algorithms(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in ALGORITHMS:
                raise ValueError(
                    f"`{name}` is not accepted: only public-key signatures prove who made a token"
                )
        return value

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, value: list[str]) -> list[str]:
        for name in value:
            if not _SCOPE.fullmatch(name):
                raise ValueError(f"`{name}` is no scope (RFC 6749, 3.3)")
        return value


class _File(_Strict):
    provider: Annotated[list[_Provider], Field(min_length=1, max_length=32)]


def load_providers(path: Path) -> Sequence[ProviderConfig]:
    """Return the providers that a file names.

    The file is TOML (`[[provider]]` tables) or, with the suffix `.json`, JSON (`{"provider": […]}`). Members that
    are not known are refused, so that a misspelt one is not taken for its default. Secrets stand in files of their
    own, named relative to this one.

    Args:
        path: the file.

    Returns:
        The providers in the file's order, names and issuers each once.

    Raises:
        ProviderMisconfigured: IDENTITY_MISCONFIGURED; its message says where and what, and shows no secret.
    """
    parsed = _parse(path)
    names = Counter(each.name for each in parsed.provider)
    issuers = Counter(each.issuer for each in parsed.provider)
    for kind, counted in (("name", names), ("issuer", issuers)):
        for value, times in counted.items():
            if times > 1:
                raise _refused(path, f"two providers have the {kind} {value}")
    return tuple(_config(path, each) for each in parsed.provider)


def _parse(path: Path) -> _File:
    text = _read(path, path, MAX_FILE)
    try:
        if path.suffix == ".json":
            content = json.loads(text, object_pairs_hook=_once)
            # TOML tells whole numbers from others, JSON does not: a strict model takes both as a float.
            return _File.model_validate_json(json.dumps(content))
        # By way of JSON for one strictness: dates and infinities of TOML are refused there.
        return _File.model_validate_json(json.dumps(tomllib.loads(text), allow_nan=False))
    except ValidationError as error:
        raise _refused(path, _plain(error)) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise _refused(path, f"it cannot be read: {error}") from error


def _plain(error: ValidationError) -> str:
    """The first problem in words: where it stands, and what it is; never the value, which may be a secret."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"`{where}` is not known"
    if first["type"] == "missing":
        return f"`{where}` is missing"
    return f"`{where}`: {first['msg'].removeprefix('Value error, ')}"


def _config(path: Path, given: _Provider) -> ProviderConfig:
    with_key = given.authentication == "private_key_jwt"
    unused, used = (
        ("client_secret_file", "client_key_file") if with_key else ("client_key_file", "client_secret_file")
    )
    where = f"provider {given.name}"
    if getattr(given, used) is None:
        raise _refused(path, f"{where}: {given.authentication} needs `{used}`")
    if getattr(given, unused) is not None:
        raise _refused(path, f"{where}: {given.authentication} does not use `{unused}`")
    if unlisted := given.claims.values.keys() - given.claims.attributes.keys():
        raise _refused(path, f"{where}: `values` names {min(unlisted)}, which `attributes` does not")
    if given.acr_default and given.acr_default not in given.acr:
        raise _refused(path, f"{where}: `acr_default` is not among `acr`")
    secret = ""
    if given.client_secret_file is not None:
        secret = _read(path, path.parent / given.client_secret_file, MAX_SECRET).strip()
        if len(secret) < 16:
            raise _refused(path, f"{where}: the client secret has fewer than 16 characters")
    claims = given.claims
    return ProviderConfig(
        name=given.name,
        issuer=given.issuer,
        client_id=given.client_id,
        authentication=given.authentication,
        client_secret=secret,
        client_key=None if given.client_key_file is None else path.parent / given.client_key_file,
        client_key_id=given.client_key_id,
        client_audience=given.client_audience,
        scopes=tuple(given.scopes),
        label_fr=given.label_fr,
        label_en=given.label_en,
        claims=ClaimMap(
            name=tuple(claims.name),
            email=claims.email,
            email_trusted=claims.email_trusted,
            attributes=claims.attributes,
            fixed=claims.fixed,
            values=claims.values,
        ),
        acr=given.acr,
        acr_default=given.acr_default,
        default_assurance=given.default_assurance,
        algorithms=tuple(given.algorithms),
        userinfo=given.userinfo,
        demand_issuer_answer=given.demand_issuer_answer,
        timeout_s=given.timeout_s,
        leeway_s=given.leeway_s,
        login_s=given.login_s,
        tls_ca=None if given.tls_ca_file is None else path.parent / given.tls_ca_file,
    )


def _read(configured: Path, path: Path, most: int) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise _refused(configured, f"{path.name} is longer than {most} octets")
        return content.decode("utf-8")
    except OSError as error:
        raise _refused(configured, f"{path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refused(configured, f"{path.name} is not UTF-8") from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refused(path: Path, what: str) -> ProviderMisconfigured:
    return ProviderMisconfigured("IDENTITY_MISCONFIGURED", f"providers in {path.name}: {what}")
