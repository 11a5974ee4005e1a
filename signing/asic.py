"""ASiC-E manifests (ETSI EN 319 162-1): the XML that a detached CAdES signature covers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes
from xml.parsers import expat

from signing.errors import ContainerRefused, SignatureRefused
from signing.strict_zip import MAX_MEMBERS, name_problem

SIGNATURE_TYPE = "application/pkcs7-signature"
MAX_MANIFEST = 16 << 20

_ASIC = "http://uri.etsi.org/02918/v1.2.1#"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$^_.+-]{0,126}")
_SEPARATOR = " "  # between namespace and local name; no URI has a space
_ROOT = f"{_ASIC}{_SEPARATOR}ASiCManifest"
_SIGNATURE = f"{_ASIC}{_SEPARATOR}SigReference"
_REFERENCE = f"{_ASIC}{_SEPARATOR}DataObjectReference"
_METHOD = f"{_DS}{_SEPARATOR}DigestMethod"
_VALUE = f"{_DS}{_SEPARATOR}DigestValue"
# Each element that may be, and where: everything else is refused.
_PARENTS = {_ROOT: None, _SIGNATURE: _ROOT, _REFERENCE: _ROOT, _METHOD: _REFERENCE, _VALUE: _REFERENCE}
_ATTRIBUTES = {
    _ROOT: frozenset[str](),
    _SIGNATURE: frozenset({"URI", "MimeType"}),
    _REFERENCE: frozenset({"URI", "MimeType", "Rootfile"}),
    _METHOD: frozenset({"Algorithm"}),
    _VALUE: frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One file that a manifest names.

    Attributes:
        name: name of the member in the container; percent-encoded only in the XML.
        media_type: its type; empty when a foreign manifest says none.
        sha256: its digest.
    """

    name: str
    media_type: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an ASiCManifest says.

    Attributes:
        signature_name: name of the member that holds the signature.
        references: the files it covers, each name once.
    """

    signature_name: str
    references: tuple[Reference, ...]


def build_manifest(signature_name: str, references: Sequence[Reference]) -> bytes:
    """Write a manifest in its one fixed form.

    Args:
        signature_name: member name of the signature, such as `META-INF/signature001.p7s`.
        references: the files, in the order to write.

    Raises:
        ContainerRefused: no file, a name that may not be in a container or that comes twice, a media type
            or digest that is malformed.
    """
    if not references or len(references) > MAX_MEMBERS:
        raise ContainerRefused("a manifest needs at least one file, and not too many")
    if len({reference.name for reference in references}) != len(references):
        raise ContainerRefused("a manifest names a file twice")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<asic:ASiCManifest xmlns:asic="{_ASIC}" xmlns:ds="{_DS}">',
        f'<asic:SigReference URI="{_uri(signature_name)}" MimeType="{SIGNATURE_TYPE}"/>',
    ]
    for reference in references:
        if not _MEDIA_TYPE.fullmatch(reference.media_type) or len(reference.sha256) != 32:
            raise ContainerRefused("a manifest entry has a malformed media type or digest")
        value = base64.b64encode(reference.sha256).decode()
        lines += [
            f'<asic:DataObjectReference URI="{_uri(reference.name)}" MimeType="{reference.media_type}">',
            f'<ds:DigestMethod Algorithm="{_SHA256}"/>',
            f"<ds:DigestValue>{value}</ds:DigestValue>",
            "</asic:DataObjectReference>",
        ]
    lines += ["</asic:ASiCManifest>", ""]
    return "\n".join(lines).encode()


def parse_manifest(data: bytes, *, strict: bool = True) -> Manifest:
    """Read a manifest.

    1. The size is bounded. 2. The XML has neither document type, entity, comment nor processing instruction.
    3. Elements and attributes are those of the schema, in their namespaces, where they belong, none
    missing or doubled; SHA-256 is the digest. 4. Names are plain member names, each once. 5. When strict,
    the octets are the ones that `build_manifest` writes for the same content.

    Raises:
        SignatureRefused: FORMAT_FAILURE.
    """
    # 1
    if len(data) > MAX_MANIFEST:
        raise SignatureRefused("FORMAT_FAILURE", "the manifest is too large")
    # 2, 3
    reader = _Reader()
    try:
        reader.feed(data)
        manifest = reader.manifest()
        # 4
        again = build_manifest(manifest.signature_name, [_typed(item) for item in manifest.references])
    except (expat.ExpatError, ValueError, KeyError, UnicodeError, ContainerRefused) as error:
        raise SignatureRefused("FORMAT_FAILURE", "the manifest is not a valid ASiCManifest") from error
    # 5
    if strict and again != data:
        raise SignatureRefused("FORMAT_FAILURE", "the manifest is not in the one form that ours have")
    return manifest


def check_references(
    manifest: Manifest, digests: Mapping[str, bytes], *, whole: Collection[str] = ()
) -> None:
    """Check the files beside a manifest against it.

    1. Every file that the manifest names is there. 2. Its digest is the one stated. 3. No name in `whole` is
    left out of the manifest.

    Args:
        manifest: a verified manifest.
        digests: member name → SHA-256 of the member found.
        whole: members that the manifest must cover; empty to demand nothing.

    Raises:
        SignatureRefused: SIGNED_DATA_NOT_FOUND, HASH_FAILURE, FORMAT_FAILURE.
    """
    for reference in manifest.references:
        # 1
        found = digests.get(reference.name)
        if found is None:
            raise SignatureRefused(
                "SIGNED_DATA_NOT_FOUND", "a file that the manifest names is missing", indeterminate=True
            )
        # 2
        if found != reference.sha256:
            raise SignatureRefused("HASH_FAILURE", "a file is not the one that the manifest names")
    # 3
    if not set(whole) <= {reference.name for reference in manifest.references}:
        raise SignatureRefused("FORMAT_FAILURE", "a file is not covered by the manifest")


class _Reader:
    """Reads a manifest with expat; refuses what the schema does not have as soon as it appears."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._signatures: list[str] = []
        self._references: list[Reference] = []
        self._current: dict[str, str] = {}
        self._text: list[str] | None = None
        parser = expat.ParserCreate("UTF-8", _SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.CommentHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        parser.StartCdataSectionHandler = self._refuse
        self._parser = parser

    def feed(self, data: bytes) -> None:
        self._parser.Parse(data, True)

    def manifest(self) -> Manifest:
        if len(self._signatures) != 1:
            raise ValueError("a manifest names exactly one signature")
        return Manifest(self._signatures[0], tuple(self._references))

    def _refuse(self, *_: object) -> None:
        raise ValueError("markup that a manifest does not have")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        parent = self._open[-1] if self._open else None
        if name not in _PARENTS or _PARENTS[name] != parent or not attributes.keys() <= _ATTRIBUTES[name]:
            raise ValueError("an element or attribute out of place")
        self._open.append(name)
        if name == _SIGNATURE:
            self._signatures.append(_name(attributes["URI"]))
            if attributes.get("MimeType", SIGNATURE_TYPE) != SIGNATURE_TYPE:
                raise ValueError("the signature is not a CMS")
        elif name == _REFERENCE:
            if len(self._references) >= MAX_MEMBERS:
                raise ValueError("too many references")
            self._current = {"name": _name(attributes["URI"]), "type": attributes.get("MimeType", "")}
        elif name == _METHOD:
            self._once("method", attributes["Algorithm"])
        elif name == _VALUE:
            self._text = []

    def _end(self, name: str) -> None:
        self._open.pop()
        if name == _VALUE:
            self._once("value", "".join(self._text or ()))
            self._text = None
        elif name == _REFERENCE:
            self._references.append(_reference(self._current))

    def _once(self, key: str, value: str) -> None:
        if key in self._current:
            raise ValueError("an element comes twice")
        self._current[key] = value

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)
        elif text.strip(" \t\r\n"):
            raise ValueError("text out of place")


def _reference(fields: Mapping[str, str]) -> Reference:
    if fields["method"] != _SHA256:
        raise ValueError("the digest is not SHA-256")
    try:
        digest = base64.b64decode(fields["value"].strip(" \t\r\n"), validate=True)
    except binascii.Error as error:
        raise ValueError("the digest is not base64") from error
    return Reference(fields["name"], fields["type"], digest)


def _typed(reference: Reference) -> Reference:
    """Give a foreign reference without a type one, so that the rest of it can be checked by writing it."""
    if reference.media_type:
        return reference
    return Reference(reference.name, "application/octet-stream", reference.sha256)


def _uri(name: str) -> str:
    """Percent-encode a member name: all but unreserved characters and `/` (RFC 3986; as EU DSS decodes)."""
    problem = name_problem(name)
    if problem is not None:
        raise ContainerRefused(f"a manifest names an unfit file: {problem}")
    return quote(name, safe="/")


def _name(uri: str) -> str:
    """Decode a URI of a manifest into a member name. Raises ValueError when it cannot be one."""
    name = unquote_to_bytes(uri).decode()
    if name_problem(name) is not None:
        raise ValueError("a URI that is no member name")
    return name
