"""Manifests in the containers of other makers (ETSI EN 319 162-1, TS 102 918): looser than ours, never ambiguous."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote_plus, unquote_to_bytes
from xml.parsers import expat

from signing.errors import SignatureRefused

MAX_MANIFEST = 16 << 20
MAX_REFERENCES = 20_000

_SEPARATOR = " "  # between namespace and local name; no URI has a space
_ASIC = frozenset(
    f"http://uri.etsi.org/{number}/v1.{version}#"
    for number in ("02918", "2918")
    for version in ("1.1", "1.2", "2.1", "2.2", "3.1")
)
_DS = "http://www.w3.org/2000/09/xmldsig#"
_MANIFEST, _SIGNATURE, _REFERENCE = "ASiCManifest", "SigReference", "DataObjectReference"
_METHOD, _VALUE = "DigestMethod", "DigestValue"
_PARENTS = {_SIGNATURE: _MANIFEST, _REFERENCE: _MANIFEST, _METHOD: _REFERENCE, _VALUE: _REFERENCE}
_DIGESTS = {
    "http://www.w3.org/2001/04/xmldsig-more#md5": "md5",
    "http://www.w3.org/2000/09/xmldsig#sha1": "sha1",
    "http://www.w3.org/2001/04/xmlenc#ripemd160": "ripemd160",
    "http://www.w3.org/2001/04/xmldsig-more#sha224": "sha224",
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
    "http://www.w3.org/2007/05/xmldsig-more#sha3-224": "sha3_224",
    "http://www.w3.org/2007/05/xmldsig-more#sha3-256": "sha3_256",
    "http://www.w3.org/2007/05/xmldsig-more#sha3-384": "sha3_384",
    "http://www.w3.org/2007/05/xmldsig-more#sha3-512": "sha3_512",
}


@dataclass(frozen=True, slots=True)
class ForeignReference:
    """One file that a manifest names.

    Attributes:
        uri: as written.
        algorithm: hashlib name of the digest; "" when it is not known.
        digest: the value.
    """

    uri: str
    algorithm: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class ForeignManifest:
    """What a manifest says.

    Attributes:
        signature_uri: of what signs or stamps the manifest.
        references: the files that it covers.
    """

    signature_uri: str
    references: tuple[ForeignReference, ...]


def parse_foreign_manifest(data: bytes) -> ForeignManifest:
    """Read a manifest of another maker.

    1. The size is bounded; the XML has no document type and no entity of its own. 2. The root is an
    ASiCManifest of ETSI with exactly one SigReference; references have a URI, one method and one value in
    base64. 3. Extensions, which say nothing about coverage, are passed over; another element is refused.

    Raises:
        SignatureRefused: FORMAT_FAILURE.
    """
    # 1
    if len(data) > MAX_MANIFEST:
        raise SignatureRefused("FORMAT_FAILURE", "the manifest is too large")
    reader = _Reader()
    try:
        reader.feed(data)
        return reader.manifest()
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise SignatureRefused("FORMAT_FAILURE", f"the manifest cannot be read: {error}"[:200]) from error


def member_of(uri: str, names: Collection[str]) -> str | None:
    """Find the one member that a URI can mean (RFC 3986: percent-encoded, relative to the root).

    Args:
        uri: as written in a manifest.
        names: members of the container.

    Returns:
        The member; None when there is none.

    Raises:
        SignatureRefused: FORMAT_FAILURE when readers that decode differently find different members.
    """
    try:
        decoded = unquote_to_bytes(uri).decode()
    except UnicodeDecodeError as error:
        raise SignatureRefused("FORMAT_FAILURE", "a URI of the manifest is not UTF-8") from error
    meanings = {uri, decoded, unquote_plus(uri)}
    meanings |= {meaning.removeprefix("./").removeprefix("/") for meaning in meanings}
    found = sorted(meaning for meaning in meanings if meaning in names)
    if len(found) > 1:
        raise SignatureRefused("FORMAT_FAILURE", "a URI of the manifest could mean two members")
    return found[0] if found else None


class _Reader:
    """Reads a manifest with expat."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._passed = 0  # depth inside extensions
        self._signatures: list[str] = []
        self._references: list[ForeignReference] = []
        self._uri = ""
        self._method: list[str] = []
        self._value: list[str] = []
        self._text: list[str] | None = None
        parser = expat.ParserCreate(None, _SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        self._parser = parser

    def feed(self, data: bytes) -> None:
        self._parser.Parse(data, True)

    def manifest(self) -> ForeignManifest:
        if len(self._signatures) != 1:
            raise ValueError("it names not exactly one signature")
        return ForeignManifest(self._signatures[0], tuple(self._references))

    def _refuse(self, *_: object) -> None:
        raise ValueError("a document type or an entity")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(_SEPARATOR)
        if self._passed or (space in _ASIC and local.endswith("Extensions") and self._open):
            self._passed += 1
            return
        known = space == _DS if local in {_METHOD, _VALUE} else space in _ASIC
        parent = self._open[-1] if self._open else None
        if not known or (parent is None) != (local == _MANIFEST) or _PARENTS.get(local) != parent:
            raise ValueError("an element out of place")
        self._open.append(local)
        if local == _SIGNATURE:
            self._signatures.append(attributes["URI"])
        elif local == _REFERENCE:
            self._uri, self._method, self._value = attributes["URI"], [], []
        elif local == _METHOD:
            self._method.append(attributes["Algorithm"])
        elif local == _VALUE:
            self._text = []

    def _end(self, _name: str) -> None:
        if self._passed:
            self._passed -= 1
            return
        local = self._open.pop()
        if local == _VALUE:
            self._value.append("".join(self._text or ()))
            self._text = None
        elif local == _REFERENCE:
            if len(self._method) != 1 or len(self._value) != 1 or len(self._references) >= MAX_REFERENCES:
                raise ValueError("a reference without exactly one digest, or too many references")
            digest = base64.b64decode("".join(self._value[0].split()), validate=True)
            algorithm = _DIGESTS.get(self._method[0], "")
            if algorithm and len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
                raise ValueError("a digest does not have the length of its algorithm")
            self._references.append(ForeignReference(self._uri, algorithm, digest))

    def _characters(self, text: str) -> None:
        if self._text is not None and not self._passed:
            self._text.append(text)
