"""ASiC containers of other makers (ETSI EN 319 162-1): what is signed by what; nothing is verified here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from signing.errors import SignatureRefused
from signing.foreign_manifest import ForeignReference, member_of, parse_foreign_manifest
from signing.foreign_zip import ForeignZip

ASIC_S = "application/vnd.etsi.asic-s+zip"
ASIC_E = "application/vnd.etsi.asic-e+zip"
MAX_SIGNATURE = 32 << 20
MAX_SIGNATURES = 200

_FOLDER = "META-INF/"
_MIMETYPE = "mimetype"
_MANIFEST = re.compile(r"META-INF/ASiC(Archive|EvidenceRecord)?Manifest[^/]*\.xml", re.IGNORECASE)
_CMS = re.compile(r"META-INF/[^/]+\.p7[sm]", re.IGNORECASE)
_TOKEN = re.compile(r"META-INF/[^/]+\.ts[tr]", re.IGNORECASE)
_RECORD = re.compile(r"META-INF/[^/]+\.ers?", re.IGNORECASE)
# XAdES, XML evidence records, and the signatures of other families of zip containers.
_UNREAD = re.compile(
    r"META-INF/[^/]*(signatures|evidencerecord)[^/]*\.xml|META-INF/[^/]+\.(rsa|dsa|ec)|_xmlsignatures/.+",
    re.IGNORECASE,
)
_DESCRIPTIONS = frozenset({"META-INF/manifest.xml", "META-INF/container.xml", "META-INF/MANIFEST.MF"})
_TOLD = re.compile(rb"(?i)META-INF/[^/]{0,100}(signature|timestamp|evidencerecord)|asic-[es]\+zip")


class Proof(StrEnum):
    """Kinds of what a container is signed or stamped with."""

    CMS = "signature"
    TOKEN = "timestamp"  # noqa: S105 - a kind of member
    RECORD = "evidence record"
    UNREAD = "unsupported"


@dataclass(frozen=True, slots=True)
class ContainerProof:
    """One signature, timestamp or evidence record of a container.

    Attributes:
        kind: what it is.
        member: where it lies.
        over: member whose octets it covers: a manifest, or the data file of an ASiC-S; "" when none is named.
        references: what the manifest names; empty without one.
        archive: it is there to keep other proofs.
        fault: why its manifest cannot be judged.
    """

    kind: Proof
    member: str
    over: str
    references: tuple[ForeignReference, ...] = ()
    archive: bool = False
    fault: SignatureRefused | None = None


@dataclass(frozen=True, slots=True)
class AsicContents:
    """A container taken apart.

    Attributes:
        simple: it is an ASiC-S.
        data: the data files.
        proofs: in the order of the directory.
        others: files in META-INF that are neither proofs nor descriptions of the container.
    """

    simple: bool
    data: tuple[str, ...]
    proofs: tuple[ContainerProof, ...]
    others: tuple[str, ...] = ()


def tells_of_signatures(octets: bytes) -> bool:
    """Tell whether octets of a damaged zip hold the names of a signed container's members."""
    return _TOLD.search(octets) is not None


def read_asic(container: ForeignZip) -> AsicContents:
    """Find the signatures of a container and what each covers.

    1. The mimetype's member and the comment, where both are there, say the same. 2. Members in META-INF are
    proofs by their names; no name is META-INF or mimetype only to readers that fold case. 3. ASiC-S when the
    mimetype says so, or nothing says ASiC-E and there is no ASiCManifest: exactly one data file, which its
    signature or timestamp covers. 4. Else each manifest names its proof, and no proof is named by two; a proof
    that no manifest names covers nothing.

    Raises:
        SignatureRefused: FORMAT_FAILURE, or as reading a member.
        ContainerRefused: a member cannot be read.
    """
    # 1
    mimetype = _mimetype(container)
    # 2
    files = [name for name in container.names if not name.endswith("/") and name != _MIMETYPE]
    data = tuple(name for name in files if not _is_meta(name))
    kinds = {name: kind for name in files if (kind := _kind(name)) is not None}
    if len(kinds) > MAX_SIGNATURES:
        raise SignatureRefused("VERIFIER_OUTPUT_LIMIT", "too many signatures", indeterminate=True)
    manifests = [name for name in files if _MANIFEST.fullmatch(name)]
    if (kinds or manifests) and any(_is_nearly_reserved(name) for name in container.names):
        raise SignatureRefused(
            "FORMAT_FAILURE", "readers that fold case see other parts than those that do not"
        )
    plain = [name for name in manifests if _MANIFEST.fullmatch(name)[1] is None]  # type: ignore[index]
    # 3
    simple = mimetype == ASIC_S or (mimetype != ASIC_E and not plain)
    if mimetype == ASIC_S and plain:
        raise SignatureRefused("FORMAT_FAILURE", "the container says it is an ASiC-S and has manifests")
    if mimetype == ASIC_S and len(data) != 1:
        raise SignatureRefused("FORMAT_FAILURE", "an ASiC-S holds exactly one data file")
    # 4
    named = _named(container, manifests, kinds, files)
    only = data[0] if simple and len(data) == 1 else ""
    proofs = [named.get(name) or ContainerProof(kind, name, only) for name, kind in kinds.items()]
    listed = {proof.member for proof in proofs}
    proofs += [proof for member, proof in named.items() if member not in listed]
    known = {*data, *manifests, *kinds, *_DESCRIPTIONS}
    return AsicContents(simple, data, tuple(proofs), tuple(name for name in files if name not in known))


def check_foreign_references(
    container: ForeignZip, references: Iterable[ForeignReference], digests: MemberDigests
) -> tuple[str, ...]:
    """Check the files that a manifest names.

    1. Each URI means one member, which is there. 2. The digest is known and is that of the member.

    Returns:
        The members covered.

    Raises:
        SignatureRefused: FORMAT_FAILURE, SIGNED_DATA_NOT_FOUND, HASH_FAILURE, SIGNATURE_FORMAT_UNSUPPORTED.
        ContainerRefused: a member's content is not the one its header states.
    """
    covered = []
    for reference in references:
        # 1
        member = member_of(reference.uri, container.names)
        if member is None:
            message = f"{reference.uri[:200]}, which the manifest names, is missing"
            raise SignatureRefused("SIGNED_DATA_NOT_FOUND", message, indeterminate=True)
        # 2
        if not reference.algorithm:
            message = "the manifest uses an unknown digest algorithm"
            raise SignatureRefused("SIGNATURE_FORMAT_UNSUPPORTED", message, indeterminate=True)
        if digests.of(member, reference.algorithm) != reference.digest:
            raise SignatureRefused("HASH_FAILURE", f"{member} is not the file that the manifest names")
        covered.append(member)
    return tuple(covered)


class MemberDigests:
    """Digests of a container's members, each computed once."""

    def __init__(self, container: ForeignZip) -> None:
        """Keep the container."""
        self._container = container
        self._known: dict[tuple[str, str], bytes] = {}

    def of(self, member: str, algorithm: str) -> bytes:
        """Hash a member. Raises as `ForeignZip.stream`, and ValueError for an unknown algorithm."""
        key = (member, algorithm)
        if key not in self._known:
            state = hashlib.new(algorithm, usedforsecurity=False)
            for chunk in self._container.stream(member):
                state.update(chunk)
            self._known[key] = state.digest()
        return self._known[key]


def _named(
    container: ForeignZip, manifests: list[str], kinds: dict[str, Proof], files: list[str]
) -> dict[str, ContainerProof]:
    """Pair manifests with the proofs that they name."""
    named: dict[str, ContainerProof] = {}
    for name in manifests:
        archive = _MANIFEST.fullmatch(name)[1] is not None  # type: ignore[index]
        try:
            manifest = parse_foreign_manifest(container.read(name, MAX_SIGNATURE))
            member = member_of(manifest.signature_uri, files)
        except SignatureRefused as fault:
            named[name] = ContainerProof(Proof.UNREAD, name, name, archive=archive, fault=fault)
            continue
        if member is None or member not in kinds:
            wrong = SignatureRefused("FORMAT_FAILURE", f"{name} names a signature that is not there")
            named[name] = ContainerProof(Proof.UNREAD, name, name, archive=archive, fault=wrong)
        elif member in named:
            wrong = SignatureRefused("FORMAT_FAILURE", f"two manifests name {member}")
            named[member] = ContainerProof(kinds[member], member, name, archive=archive, fault=wrong)
        else:
            named[member] = ContainerProof(kinds[member], member, name, manifest.references, archive)
    return named


def _mimetype(container: ForeignZip) -> str:
    stated = set()
    if _MIMETYPE in container.names:
        octets = container.read(_MIMETYPE, 256)
        stated.add(octets.strip(b" \t\r\n").removeprefix(b"\xef\xbb\xbf").decode("latin-1"))
    if container.comment:
        stated.add(container.comment.removeprefix("mimetype="))
    if len(stated) > 1:
        raise SignatureRefused("FORMAT_FAILURE", "the mimetype and the comment contradict each other")
    return stated.pop().lower() if stated else ""


def _is_meta(name: str) -> bool:
    return name.startswith(_FOLDER)


def _is_nearly_reserved(name: str) -> bool:
    top = name.partition("/")[0]
    reserved = _FOLDER.rstrip("/") if "/" in name else _MIMETYPE
    return top != reserved and top.casefold().rstrip(". ") == reserved.casefold()


def _kind(name: str) -> Proof | None:
    if _MANIFEST.fullmatch(name):
        return None
    for pattern, kind in (
        (_CMS, Proof.CMS),
        (_TOKEN, Proof.TOKEN),
        (_RECORD, Proof.RECORD),
        (_UNREAD, Proof.UNREAD),
    ):
        if pattern.fullmatch(name):
            return kind
    return None
