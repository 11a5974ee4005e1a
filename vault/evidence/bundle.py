"""Reading an evidence bundle: the container, its members, and whether they are those that must be there."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from signing.strict_zip import StrictZip
from vault.evidence import layout
from vault.evidence.errors import EvidenceRefused
from vault.evidence.layout import Listed
from vault.evidence.report import Judgement

_MAX_SMALL = 128 << 20  # octets of all members but the document
_LIMITS = {
    layout.MIMETYPE_MEMBER: len(layout.MIMETYPE),
    layout.INDEX: layout.INDEX_LIMIT,
    layout.EVIDENCE_MANIFEST: 16 << 20,
    layout.EVIDENCE_SIGNATURE: layout.LIMITS["seal"],
}


@dataclass(frozen=True, slots=True)
class DocumentDigest:
    """What one pass over the document found.

    Attributes:
        sha256: hex digest of all octets.
        size: octets.
        prefixes: size → hex digest of that many octets from the start.
    """

    sha256: str
    size: int
    prefixes: dict[int, str] = field(default_factory=dict)


class Bundle:
    """A strict container with exactly the members of an evidence bundle; the small ones are in memory."""

    def __init__(self, container: StrictZip, document: str, small: dict[str, bytes]) -> None:
        """Use `open_bundle`."""
        self._container = container
        self.document_member = document
        self.small = small
        self.names = container.names

    @property
    def document_name(self) -> str:
        """File name of the document, without folder."""
        return self.document_member[len(layout.DOCUMENT_FOLDER) :]

    @property
    def carries_seal_beside(self) -> bool:
        """True when the seal of the document lies in META-INF, False when the document itself carries it."""
        return layout.SEAL_MANIFEST in self.small

    @property
    def sealed(self) -> bool:
        """True when the evidence seal is there."""
        return layout.EVIDENCE_MANIFEST in self.small

    def of_role(self, role: str) -> dict[str, bytes]:
        """Return the small members of a role by name."""
        return {name: data for name, data in self.small.items() if layout.role_of(name) == role}

    def digest_document(self, prefixes: frozenset[int] = frozenset()) -> DocumentDigest:
        """Hash the document in one pass, and its first octets up to each size in `prefixes`.

        Raises:
            ContainerRefused: a wrong CRC.
        """
        state, position = hashlib.sha256(), 0
        waiting = sorted(prefixes)
        found: dict[int, str] = {}
        for chunk in self._container.stream(self.document_member):
            used = 0
            while waiting and waiting[0] <= position + len(chunk):
                cut = waiting.pop(0) - position
                state.update(chunk[used:cut])
                used = cut
                found[position + cut] = state.hexdigest()
            state.update(chunk[used:])
            position += len(chunk)
        return DocumentDigest(state.hexdigest(), position, found)

    @contextmanager
    def document_path(self) -> Iterator[Path]:
        """Lend a path under which the document can be opened, a copy that no other name leads to.

        Raises:
            ContainerRefused: a wrong CRC.
        """
        with _unnamed(self._container.size(self.document_member)) as (stream, path):
            for chunk in self._container.stream(self.document_member):
                stream.write(chunk)
            stream.flush()
            yield path

    def listed(self, document: DocumentDigest) -> tuple[Listed, ...]:
        """Describe every member but the unlisted ones as evidence.json must."""
        return tuple(
            Listed(name, "document", document.sha256, document.size)
            if name == self.document_member
            else Listed(
                name,
                layout.role_of(name) or "",
                hashlib.sha256(self.small[name]).hexdigest(),
                len(self.small[name]),
            )
            for name in self.names
            if name not in layout.UNLISTED
        )


def open_bundle(file: BinaryIO, judgement: Judgement) -> Bundle | None:
    """Open a bundle.

    1. The container is in the strict form (`container`). 2. Its members are those of the format, each once,
    in order (`members`). 3. The small ones are read whole, within limits (`member <name>`).

    Args:
        file: seekable; stays in use as long as the bundle.
        judgement: told what was found.

    Returns:
        The bundle, or None when it cannot be judged further; the judgement then says why.
    """
    # 1
    container = judgement.attempt("container", StrictZip.open, file)
    if container is None:
        return None
    judgement.passed("container", f"strict, {len(container.names)} members")
    # 2
    document = _check_members(container.names, judgement)
    if document is None:
        return None
    # 3
    small: dict[str, bytes] = {}
    mark = len(judgement.checks)
    left = _MAX_SMALL
    for name in container.names:
        if name == document:
            continue
        content = judgement.attempt(f"member {name}", _read, container, name, left)
        if content is not None:
            small[name] = content
            left -= len(content)
    return Bundle(container, document, small) if len(judgement.checks) == mark else None


def _read(container: StrictZip, name: str, left: int) -> bytes:
    limit = _LIMITS.get(name) or layout.LIMITS[layout.role_of(name) or ""]
    if container.size(name) > min(limit, left):
        raise EvidenceRefused("FORMAT_FAILURE", "over the size limit of its kind")
    return container.read(name, limit)


def _check_members(names: tuple[str, ...], judgement: Judgement) -> str | None:
    """Check the set and the order of members; returns the document's, or None when something is wrong."""
    present = set(names)
    unknown = [name for name in names if name not in layout.UNLISTED and layout.role_of(name) is None]
    documents = [name for name in names if layout.role_of(name) == "document"]
    unknown += documents[1:]
    missing = [name for name in _required(names) if name not in present]
    if not documents:
        missing.append(layout.DOCUMENT_FOLDER)
    for name in unknown[:20]:
        judgement.refuse("members", "MEMBER_UNKNOWN", f"{name} does not belong in a bundle", found=name)
    for name in missing[:20]:
        judgement.refuse("members", "MEMBER_MISSING", f"{name} is not there", expected=name)
    if unknown or missing:
        return None
    if len(layout.sequence_numbers(names)) > layout.MAX_ENTRIES or any(
        sum(layout.role_of(name) == role for name in names) > layout.MAX_MATERIAL
        for role in ("certificate", "revocation")
    ):
        judgement.refuse("members", "FORMAT_FAILURE", "too many members of one kind")
        return None
    if list(names) != sorted(names, key=layout.rank):
        judgement.refuse("members", "FORMAT_FAILURE", "the members are not in the order of the format")
        return None
    judgement.passed("members", f"{len(names)} members, as the format says")
    return documents[0]


def _required(names: tuple[str, ...]) -> Iterator[str]:
    yield from (layout.INDEX, layout.LISEZMOI, layout.README)
    seqs = layout.sequence_numbers(names)
    if not seqs:
        yield layout.ENTRIES_FOLDER
    for seq in seqs:
        for suffix in ("json", "opening.json", "tlog-proof"):
            yield layout.entry_member(seq, suffix)
    for pair in (
        (layout.ANCHOR, layout.ANCHOR_TOKEN),
        (layout.SEAL_MANIFEST, layout.SEAL_SIGNATURE),
        (layout.EVIDENCE_MANIFEST, layout.EVIDENCE_SIGNATURE),
    ):
        if any(name in names for name in pair):
            yield from pair


@contextmanager
def _unnamed(size: int) -> Iterator[tuple[IO[bytes], Path]]:
    """Make a file without name where the system has such files; in memory when it is small.

    PDF libraries open by path (much faster, and flat in memory), while the document lies inside a container.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        if size <= 16 << 20:
            stream: IO[bytes] = os.fdopen(os.memfd_create("document"), "w+b")
        else:
            stream = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed below
        with stream:
            yield stream, Path(f"/proc/self/fd/{stream.fileno()}")
    else:
        with tempfile.NamedTemporaryFile("w+b") as named:
            yield cast("IO[bytes]", named), Path(named.name)


def looks_like_bundle(file: BinaryIO) -> bool:
    """Tell whether a zip means to be a bundle of ours, however damaged; then it is held to our one form.

    A container of another maker may have a file named as our index is: one more of our names is asked for.
    """
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - (1 << 18)))
    tail = file.read()
    index, entries, instructions = (
        name.encode() in tail for name in (layout.INDEX, layout.ENTRIES_FOLDER, layout.LISEZMOI)
    )
    return entries or (index and instructions)
