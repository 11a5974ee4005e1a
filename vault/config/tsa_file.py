"""The file of several timestamp authorities: a JSON list, the preferred one first (`docs/timestamps.md`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vault.errors import SettingsRefused

_MAX_FILE = 256 * 1024
_MAX_SECRET = 4096


class NamedAuthority(BaseModel):
    """One authority as the file names it.

    Attributes:
        name: in logs, metrics and notes.
        url: http or https address that takes timestamp queries.
        trust: PEM anchors of its certificates.
        policy: dotted policy to ask for and insist on.
        username, password_file: for HTTP basic authentication.
        bearer_file: file with the secret for bearer authentication.
        tls_ca: PEM anchors of its web server, the usual public ones when None.
        timeout: seconds for one token; that of the settings when None.
        own: whether the operator runs it; its tokens are labelled so.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    url: Annotated[str, Field(min_length=1, max_length=2000)]
    trust: str
    policy: str | None = None
    username: str | None = None
    password_file: str | None = None
    bearer_file: str | None = None
    tls_ca: str | None = None
    timeout: Annotated[float, Field(gt=0, le=600)] | None = None
    own: bool = False


_FILE = TypeAdapter(Annotated[list[NamedAuthority], Field(min_length=1, max_length=16)])


def load_authorities(path: Path) -> Sequence[NamedAuthority]:
    """Read the file.

    Members that are not known are refused, so that a misspelt one is not taken for its default. Files it names are
    relative to its own folder.

    Raises:
        SettingsRefused: it cannot be read, or names an authority twice.
    """
    try:
        text = read_limited(path, _MAX_FILE).decode("utf-8")
        found = _FILE.validate_json(json.dumps(json.loads(text, object_pairs_hook=_once)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise _refused(path, f"{place}: {first['msg']}") from None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise _refused(path, str(error)) from error
    for name, times in Counter(each.name for each in found).items():
        if times > 1:
            raise _refused(path, f"two authorities have the name {name}")
    return found


def read_anchors(path: Path, setting: str = "") -> Sequence[x509.Certificate]:
    """Read PEM anchors; `setting` names them where one does. Raises SettingsRefused."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _refused(path, f"{error} ({setting})" if setting else str(error)) from error


def read_secret(path: Path) -> str:
    """Read a secret: the file's one line. Raises SettingsRefused; its words show nothing of it."""
    try:
        text = read_limited(path, _MAX_SECRET).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        raise _refused(path, type(error).__name__) from error
    if not text or not text.isprintable():
        raise _refused(path, "a secret of one line is expected")
    return text


def read_limited(path: Path, limit: int) -> bytes:
    """Read a file that must be small. Raises OSError, ValueError."""
    with path.open("rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"longer than {limit} octets")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members


def _refused(path: Path, problem: str) -> SettingsRefused:
    return SettingsRefused("SETTINGS_REFUSED", f"{path} cannot be used: {problem}")
