"""The dated table of algorithms: until when each digest, signature scheme and key size was accepted.

The dates are data, with their source, in `algorithms.json` beside this module.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from signing.errors import SignatureRefused

_Rows = tuple[tuple[int, datetime | None], ...]

#: What seals of our own never go below, whatever the table says of the past.
OWN_RSA_BITS = 2048
OWN_CURVE_BITS = 256
OWN_DIGESTS = frozenset({"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512"})


@dataclass(frozen=True, slots=True)
class AlgorithmTable:
    """Ends of acceptance by algorithm.

    Attributes:
        source: where the dates come from.
        digests: end by hashlib name; None when no end is set.
        schemes: rows of smallest key size in bits, ascending, with the end from that size on.
        curves: names of the elliptic curves that are known.
    """

    source: str
    digests: Mapping[str, datetime | None]
    schemes: Mapping[str, _Rows]
    curves: frozenset[str]

    def check(
        self,
        *,
        digest: str | None = None,
        scheme: str | None = None,
        bits: int | None = None,
        curve: str | None = None,
        at: datetime,
        proven: bool,
    ) -> None:
        """Refuse algorithms that were not accepted at a time (ETSI EN 319 102-1, section 5.2.8).

        Args:
            digest: hashlib name.
            scheme: name in the table, such as "rsa-pss".
            bits: key size.
            curve: name of the curve of an elliptic key.
            at: time at which the signature is judged, UTC.
            proven: that it existed at this time is proven, so that no earlier proof is to be expected.

        Raises:
            SignatureRefused: CRYPTO_CONSTRAINTS_FAILURE for what was never accepted, or was not when the
                signature is known to have existed; CRYPTO_CONSTRAINTS_FAILURE_NO_POE for what was
                accepted once, so that a proof from that time would save it. Both indeterminate.
        """
        if digest is not None:
            if digest not in self.digests:
                raise _refused(f"digest algorithm {digest[:40]} is not in the table")
            _require_before(self.digests[digest], at, f"digest algorithm {digest}", proven=proven)
        if curve is not None and curve not in self.curves:
            raise _refused(f"curve {curve[:40]} is not in the table")
        if scheme is not None:
            size = bits or 0
            rows = [row for row in self.schemes.get(scheme, ()) if row[0] <= size]
            if not rows:
                raise _refused(f"{scheme[:40]} with a key of {size} bits was never accepted")
            _require_before(rows[-1][1], at, f"{scheme} with a key of {size} bits", proven=proven)

    def check_key(self, key: object, *, pss: bool = False, at: datetime, proven: bool) -> None:
        """Check a public key's kind and size, as `check` does; `pss` where RSA signs with PSS."""
        scheme, bits, curve = describe_key(key, pss=pss)
        self.check(scheme=scheme, bits=bits, curve=curve, at=at, proven=proven)


def describe_key(key: object, *, pss: bool = False) -> tuple[str, int, str | None]:
    """Return a public key's scheme as the table names it, its size in bits, and its curve if it has one."""
    if isinstance(key, rsa.RSAPublicKey):
        return ("rsa-pss" if pss else "rsa-pkcs1"), key.key_size, None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ecdsa", key.curve.key_size, key.curve.name
    if isinstance(key, dsa.DSAPublicKey):
        return "dsa", key.key_size, None
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", 256, None
    if isinstance(key, ed448.Ed448PublicKey):
        return "ed448", 456, None
    return type(key).__name__, 0, None


def read_table(text: str) -> AlgorithmTable:
    """Read the table's JSON."""
    raw: dict[str, Any] = json.loads(text)
    return AlgorithmTable(
        source=raw["source"],
        digests={name: _date(end) for name, end in raw["digests"].items()},
        schemes={
            name: tuple(sorted(((bits, _date(end)) for bits, end in rows), key=lambda row: row[0]))
            for name, rows in raw["schemes"].items()
        },
        curves=frozenset(raw["curves"]),
    )


def _date(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


def _require_before(end: datetime | None, at: datetime, what: str, *, proven: bool) -> None:
    if end is None or at < end:
        return
    message = f"{what} has not been accepted since {end.date().isoformat()}"
    raise _refused(message, "CRYPTO_CONSTRAINTS_FAILURE" if proven else "CRYPTO_CONSTRAINTS_FAILURE_NO_POE")


def _refused(message: str, code: str = "CRYPTO_CONSTRAINTS_FAILURE") -> SignatureRefused:
    return SignatureRefused(code, message, indeterminate=True)


#: The table as shipped.
TABLE = read_table(resources.files("signing").joinpath("algorithms.json").read_text("utf-8"))
