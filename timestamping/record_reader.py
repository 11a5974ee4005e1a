"""Reading evidence records (RFC 4998, ASN.1 form) octet for octet; nothing is verified here.

The reader keeps the raw octets of what later timestamps hash: each ContentInfo, and the chains of an
ArchiveTimeStampSequence. It accepts DER only, so the octets that are hashed have one meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from timestamping import der
from timestamping.algorithms import NULL_PARAMETERS, Algorithm, read_algorithm
from timestamping.errors import RecordRefused

MAX_RECORD = 64 << 20
MAX_STAMPS = 4096  # archive timestamps in one record
MAX_HASHES = 1 << 20  # hash values in one record


@dataclass(frozen=True, slots=True)
class ArchiveStamp:
    """One ArchiveTimeStamp (RFC 4998, 4.1).

    Attributes:
        digest_algorithm: dotted identifier; None when the timestamp's own applies.
        tree: reduced hash tree, hash values of each node in their order; empty when there is none.
        token: DER of the ContentInfo, as it stands in the record.
    """

    digest_algorithm: str | None
    tree: tuple[tuple[bytes, ...], ...]
    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """An EvidenceRecord taken apart (RFC 4998, 3.1).

    Attributes:
        digest_algorithms: dotted identifiers, as listed.
        chains: archive timestamps, oldest chain first.
        raw_chains: DER of each chain, for the hash of a renewed tree.
    """

    digest_algorithms: tuple[str, ...]
    chains: tuple[tuple[ArchiveStamp, ...], ...]
    raw_chains: tuple[bytes, ...] = field(repr=False)

    def before(self, chain: int) -> bytes:
        """DER of the ArchiveTimeStampSequence as it was before a chain was added (RFC 4998, 5.2)."""
        return der.sequence(*self.raw_chains[:chain])


def read_record(data: bytes) -> EvidenceRecord:
    """Read an evidence record.

    1. One DER element: version 1, digest algorithms, crypto information passed over, no encryption. 2. At
    least one chain, none empty. 3. Each archive timestamp: digest algorithm, attributes passed over, tree
    whose nodes hold octet strings, and a ContentInfo. 4. Nothing is left over anywhere.

    Raises:
        RecordRefused: FORMAT_FAILURE; SIGNATURE_FORMAT_UNSUPPORTED for encrypted data (`encryptionInfo`).
    """
    if len(data) > MAX_RECORD:
        raise RecordRefused("SIGNATURE_FORMAT_UNSUPPORTED", "the evidence record is too large")
    try:
        return _record(data)
    except der.DerError as error:
        raise RecordRefused("FORMAT_FAILURE", f"not an evidence record: {error}") from error


def _record(data: bytes) -> EvidenceRecord:
    # 1
    reader = der.only(data, der.SEQUENCE).reader()
    if reader.integer() != 1:
        raise der.DerError("the version is not 1")
    algorithms = tuple(_hash_id(read_algorithm(item)) for item in reader.take(der.SEQUENCE).reader().rest())
    information = reader.optional(0xA0)
    if information is not None:
        der.check_canonical(information)
    if reader.optional(0xA1) is not None:
        raise RecordRefused("SIGNATURE_FORMAT_UNSUPPORTED", "a record over encrypted data is not read")
    # 2
    raw_chains = reader.take(der.SEQUENCE).reader().rest()
    reader.finish()
    if not raw_chains or not algorithms:
        raise der.DerError("no chain, or no digest algorithm")
    budget = [MAX_STAMPS, MAX_HASHES]
    chains = tuple(_chain(chain, budget) for chain in raw_chains)
    return EvidenceRecord(algorithms, chains, tuple(chain.raw for chain in raw_chains))


def _chain(element: der.Element, budget: list[int]) -> tuple[ArchiveStamp, ...]:
    stamps = der.only(element.raw, der.SEQUENCE).reader().rest()
    budget[0] -= len(stamps)
    if not stamps or budget[0] < 0:
        raise der.DerError("a chain is empty, or there are too many timestamps")
    return tuple(_stamp(stamp, budget) for stamp in stamps)


def _stamp(element: der.Element, budget: list[int]) -> ArchiveStamp:
    # 3
    reader = der.only(element.raw, der.SEQUENCE).reader()
    stated = reader.optional(0xA0)
    attributes = reader.optional(0xA1)
    tree = reader.optional(0xA2)
    token = reader.take(der.SEQUENCE)
    # 4
    reader.finish()
    if attributes is not None:
        der.check_canonical(attributes)
    algorithm = _hash_id(read_algorithm(stated)) if stated is not None else None
    return ArchiveStamp(algorithm, _tree(tree, budget) if tree is not None else (), token.raw)


def _tree(element: der.Element, budget: list[int]) -> tuple[tuple[bytes, ...], ...]:
    nodes = []
    for node in element.reader().rest():
        values = der.only(node.raw, der.SEQUENCE).reader().rest()
        budget[1] -= len(values)
        if not values or budget[1] < 0 or any(value.tag != der.OCTET_STRING for value in values):
            raise der.DerError("a node of the hash tree is empty, too large, or holds something else")
        nodes.append(tuple(value.content for value in values))
    if not nodes:
        raise der.DerError("the hash tree is empty")
    return tuple(nodes)


def _hash_id(algorithm: Algorithm) -> str:
    if algorithm.parameters not in (None, NULL_PARAMETERS):
        raise der.DerError("a digest algorithm carries parameters")
    return algorithm.oid
