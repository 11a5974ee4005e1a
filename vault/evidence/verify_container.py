"""Signed containers of other makers (ASiC-S, ASiC-E): every signature, and every file that it covers."""

from __future__ import annotations

import dataclasses
import zipfile
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import BinaryIO

from signing.algorithms import TABLE
from signing.errors import ContainerRefused, SignatureRefused
from signing.foreign_asic import (
    MAX_SIGNATURE,
    AsicContents,
    ContainerProof,
    MemberDigests,
    Proof,
    check_foreign_references,
    read_asic,
    tells_of_signatures,
)
from signing.foreign_zip import ForeignZip
from signing.hostile import HOSTILE
from signing.judgement import OutsideData
from vault.evidence.judged import printable
from vault.evidence.means import Means
from vault.evidence.report import Judgement, Outcome, SignatureFinding
from vault.evidence.verify_alone import Judged, judge_token_over
from vault.evidence.verify_cms import judge_cms_over, material_of
from vault.evidence.verify_record import judge_record_over

_SCAN = 64 << 20
_CHUNK = 1 << 20
_OVERLAP = 256
_PROVEN = frozenset({"timestamp", "record"})
_MANY = 20  # checks of one kind are cut there
_UNREADABLE: tuple[type[Exception], ...] = (OSError, zipfile.BadZipFile, *HOSTILE)


@dataclass(frozen=True, slots=True)
class MemberOriginal:
    """A member of a container, as something that a proof covers.

    Attributes:
        name: of the member.
        digests: of the container.
    """

    name: str
    digests: MemberDigests

    def digest(self, algorithm: str) -> bytes | None:
        """Hash the member; None for an algorithm that is not known. Raises as `ForeignZip.stream`."""
        return self.digests.of(self.name, algorithm) if algorithm else None


def judge_container(file: BinaryIO, means: Means, judgement: Judgement) -> Judged:
    """Judge a zip of another maker.

    1. It has one meaning for every reader (`ForeignZip`); one that has not, and tells of signatures, is refused.
    2. Its proofs and what each covers (`read_asic`); without any it proves nothing. 3. Every member's content is
    the one that its headers state. 4. Timestamps and evidence records first: what they prove of signatures counts
    for those. 5. Each signature by itself, over its manifest or data file. 6. The files that each manifest names,
    by digests that were good at its best time. 7. Data files that nothing covers are named; none may be covered
    at all. 8. Each original is a data file that is covered.

    Args:
        file: the zip, seekable.
        means: what the verifier trusts.
        judgement: told of each check.
    """
    # 1
    container = _open(file, judgement)
    if container is None:
        return Judged()
    # 2
    contents = judgement.attempt("container.contents", read_asic, container)
    if contents is None:
        return Judged()
    if not contents.proofs:
        judgement.refuse("file", "NO_SIGNATURE_FOUND", "a zip file without any signature", indeterminate=True)
        return Judged()
    return _Container(container, contents, means, judgement).judge()


class _Container:
    """One container while it is judged."""

    def __init__(
        self, container: ForeignZip, contents: AsicContents, means: Means, judgement: Judgement
    ) -> None:
        self._container = container
        self._contents = contents
        self._means = means
        self._judgement = judgement
        self._digests = MemberDigests(container)
        self._covered: set[str] = set()
        self._proofs: dict[str, list[datetime]] = {}

    def judge(self) -> Judged:
        # 3
        if self._judgement.attempt("container.contents", self._read_all) is None:
            return Judged()
        self._judgement.passed("container.contents", f"{len(self._container.names)} members")
        numbered = list(enumerate(self._contents.proofs))
        found: dict[int, tuple[SignatureFinding, ...]] = {}
        # 4
        for number, proof in sorted(numbered, key=lambda item: item[1].kind is Proof.CMS):
            found[number] = self._judge(f"container.proof[{number}]", proof)
        # 7
        self._check_coverage()
        # 8
        for number, original in enumerate(self._means.originals):
            self._check_original(f"original[{number}]", original.digest("sha256"))
        return Judged(tuple(finding for number, _ in numbered for finding in found[number]))

    def _read_all(self) -> bool:
        # A reader of the stream goes on where the compressed data ends: this must be where the headers say.
        for name in self._container.names:
            for _ in self._container.stream(name):
                pass
        return True

    def _judge(self, name: str, proof: ContainerProof) -> tuple[SignatureFinding, ...]:
        mark = len(self._judgement.checks)
        part = printable(proof.member)
        if proof.fault is not None:
            self._judgement.refuse(
                f"{name}.manifest",
                proof.fault.code,
                str(proof.fault),
                indeterminate=proof.fault.indeterminate,
            )
            return (SignatureFinding(self._judgement.outcome_since(mark), "", "", None, part=part),)
        if proof.kind is Proof.UNREAD:
            message = f"{part}: signatures in XML and those of other kinds of container are not read"
            self._judgement.refuse(name, "SIGNATURE_FORMAT_UNSUPPORTED", message, indeterminate=True)
            return (SignatureFinding(Outcome.INDETERMINATE, "", "", None, part=part),)
        octets = self._judgement.attempt(name, self._container.read, proof.member, MAX_SIGNATURE)
        if octets is None:
            return (SignatureFinding(self._judgement.outcome_since(mark), "", "", None, part=part),)
        # 5
        judged = self._judge_octets(octets, proof, name, part)
        # 6
        covered = self._references(proof, f"{name}.references")
        if covered:
            self._check_digests(proof, judged, f"{name}.references")
        outcome = self._judgement.outcome_since(mark)
        if outcome is Outcome.PASSED:
            for member in covered:
                self._proofs.setdefault(member, []).extend(judged.proofs)
        self._covered.update(covered)
        whole = set(self._contents.data) <= set(covered)
        return tuple(
            dataclasses.replace(
                finding, verdict=outcome, covers_whole_file=whole, level=self._level(finding.level, proof)
            )
            for finding in judged.findings
        )

    def _level(self, level: str, proof: ContainerProof) -> str:
        """An archive timestamp that counts keeps what is long-term already (EN 319 162-1, 5.4)."""
        kept = proof.kind is Proof.CMS and bool(self._proofs.get(proof.member))
        return f"{level}A" if kept and level.endswith("-LT") else level

    def _judge_octets(self, octets: bytes, proof: ContainerProof, name: str, part: str) -> Judged:
        covered = (MemberOriginal(proof.over, self._digests),) if proof.over else ()
        if proof.kind is Proof.TOKEN:
            return judge_token_over(octets, covered, name, self._helped, self._judgement, part)
        if proof.kind is Proof.RECORD:
            # The manifest of a record only lists what the record itself covers.
            members = [MemberOriginal(item, self._digests) for item in self._members(proof)]
            return judge_record_over(octets, members or covered, name, self._helped, self._judgement, part)
        proofs = (*self._means.proofs, *self._proofs.get(proof.member, ()))
        means = dataclasses.replace(self._means, proofs=proofs)
        return judge_cms_over(octets, covered, name, means, self._judgement, part)

    @cached_property
    def _helped(self) -> Means:
        """The means, with what the signatures bring for the timestamps beside them (EN 319 162-1, 5.4)."""
        data = self._means.data
        for proof in self._contents.proofs:
            if proof.kind is not Proof.CMS or proof.fault is not None:
                continue
            try:
                more = material_of(self._container.read(proof.member, MAX_SIGNATURE), self._means)
            except (ContainerRefused, SignatureRefused):
                continue  # judging it says so
            data = OutsideData(
                (*data.certificates, *more.certificates),
                (*data.crls, *more.crls),
                (*data.ocsps, *more.ocsps),
            )
        return dataclasses.replace(self._means, data=data)

    def _members(self, proof: ContainerProof) -> tuple[str, ...]:
        try:
            return check_foreign_references(self._container, proof.references, self._digests)
        except (ContainerRefused, SignatureRefused):
            return ()  # the check of the references says so

    def _references(self, proof: ContainerProof, name: str) -> tuple[str, ...]:
        if not proof.references:
            return (proof.over,) if proof.over else ()
        covered = self._judgement.attempt(
            name, check_foreign_references, self._container, proof.references, self._digests
        )
        if covered is None:
            return ()
        self._judgement.passed(name, f"{len(covered)} files")
        return (proof.over, *covered)

    def _check_digests(self, proof: ContainerProof, judged: Judged, name: str) -> None:
        """A manifest's digests bind its files, so they must be as good as that of the manifest itself."""
        finding = judged.findings[0] if judged.findings else None
        proven = finding is not None and finding.time_source in _PROVEN and finding.best_time is not None
        at = self._means.now
        if proven and finding is not None and finding.best_time is not None:
            at = datetime.fromisoformat(finding.best_time)
        for algorithm in sorted({reference.algorithm for reference in proof.references}):
            self._judgement.attempt(name, TABLE.check, digest=algorithm, at=at, proven=proven)

    def _check_coverage(self) -> None:
        bare = [name for name in self._contents.data if name not in self._covered]
        nothing = len(bare) == len(self._contents.data)
        bare += [name for name in self._contents.others if name not in self._covered]
        for number, name in enumerate(bare[:_MANY]):
            found = f"{printable(name)} is covered by no signature"
            self._judgement.note(f"container.uncovered[{number}]", Outcome.UNCHECKED, found)
        if nothing and self._judgement.worst is not Outcome.FAILED:
            self._judgement.refuse(
                "container.coverage",
                "SIGNED_DATA_NOT_FOUND",
                "no file of the container is covered by a signature",
                indeterminate=True,
            )

    def _check_original(self, name: str, expected: bytes | None) -> None:
        if expected is None:
            message = "its SHA-256 is not given"
            self._judgement.refuse(name, "SIGNED_DATA_NOT_FOUND", message, indeterminate=True)
            return
        members = [member for member in self._contents.data if member in self._covered]
        same = [member for member in members if self._digests.of(member, "sha256") == expected]
        if same:
            self._judgement.passed(name, expected.hex(), printable(same[0]))
        else:
            message = "the file given is none of those that are covered"
            self._judgement.refuse(name, "HASH_FAILURE", message, expected.hex())


def _open(file: BinaryIO, judgement: Judgement) -> ForeignZip | None:
    try:
        container = ForeignZip.open(file)
    except ContainerRefused as error:
        if not _signed_somehow(file) and _listed(file):
            judgement.refuse(
                "file", "NO_SIGNATURE_FOUND", "a zip file without any signature", indeterminate=True
            )
        else:
            judgement.refuse("container", error.code, str(error))
        return None
    except SignatureRefused as error:
        judgement.refuse("container", error.code, str(error), indeterminate=error.indeterminate)
        return None
    judgement.passed("container", f"one meaning, {len(container.names)} members")
    return container


def _signed_somehow(file: BinaryIO) -> bool:
    """Tell whether a zip that readers may disagree on shows the names of signatures anywhere."""
    file.seek(0)
    before = b""
    for _ in range(_SCAN // _CHUNK):
        chunk = file.read(_CHUNK)
        if tells_of_signatures(before + chunk):
            return True
        if not chunk:
            return False
        before = chunk[-_OVERLAP:]
    return True


def _listed(file: BinaryIO) -> bool:
    try:
        with zipfile.ZipFile(file) as container:
            return container.testzip is not None
    except _UNREADABLE:
        return False
