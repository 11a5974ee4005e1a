"""pyhanko-certvalidator behind one door: its traps avoided, its errors turned into codes."""

from __future__ import annotations

import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext, errors
from pyhanko_certvalidator.authority import CertTrustAnchor, TrustQualifiers, derive_quals_from_cert
from pyhanko_certvalidator.policy_decl import (
    AcceptAllAlgorithms,
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.registry import SimpleTrustManager

from signing.crl import Crl
from signing.errors import SignatureRefused

_T = TypeVar("_T")
CertificatePath = tuple[x509.Certificate, ...]

#: Sub-indications that ETSI EN 319 102-1 (table 6) files under INDETERMINATE, and ours that say the same.
INDETERMINATE_CODES = frozenset(
    {
        "CERTIFICATE_CHAIN_GENERAL_FAILURE",
        "CHAIN_CONSTRAINTS_FAILURE",
        "CRYPTO_CONSTRAINTS_FAILURE",
        "CRYPTO_CONSTRAINTS_FAILURE_NO_POE",
        "NO_CERTIFICATE_CHAIN_FOUND",
        "NO_POE",
        "NO_SIGNING_CERTIFICATE_FOUND",
        "OUT_OF_BOUNDS_NOT_REVOKED",
        "OUT_OF_BOUNDS_NO_POE",
        "REVOKED_CA_NO_POE",
        "REVOKED_NO_POE",
        "SIGNATURE_FORMAT_UNSUPPORTED",
        "SIGNED_DATA_NOT_FOUND",
        "SIG_CONSTRAINTS_FAILURE",
        "TIMESTAMP_ORDER_FAILURE",
        "TRY_LATER",
    }
)
_KEPT_CERTIFICATES = 64


def refused(code: str, message: str) -> SignatureRefused:
    """Make the error of a code, indeterminate when EN 319 102-1 says so."""
    return SignatureRefused(code, message, indeterminate=code in INDETERMINATE_CODES)


class PathLibrary:
    """Validates paths to fixed anchors with pyhanko-certvalidator; safe for threads."""

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        *,
        require_revocation: bool,
        retroactive: bool,
        any_algorithm: bool = False,
    ) -> None:
        """See `TrustStore`; with `any_algorithm` the caller judges algorithms by himself."""
        self.anchors = tuple(anchors)
        self._any_algorithm = any_algorithm
        self._require = require_revocation
        self._retroactive = retroactive
        self._own = _PerThread()

    def prepare(self) -> None:
        """Prepare the anchors for this thread, and for what is forked from it, before the first path needs them."""
        self._own.manager(self.anchors)

    def validate(
        self,
        certificate: x509.Certificate,
        authorities: Sequence[x509.Certificate],
        lists: Sequence[Crl],
        at: datetime,
    ) -> CertificatePath:
        """Build and validate a path (RFC 5280 section 6).

        Args:
            certificate: the end certificate; the signatures from an anchor down to it were checked.
            authorities: the certificates between.
            lists: CRLs whose signatures were checked.
            at: the time, UTC.

        Raises:
            SignatureRefused: as `TrustStore.validate` says.
        """
        rule = RevocationCheckingRule.CRL_REQUIRED if self._require else RevocationCheckingRule.NO_CHECK
        context = ValidationContext(
            trust_manager=self._own.manager(self.anchors),
            other_certs=[self._own.convert(authority) for authority in authorities],
            moment=at,
            crls=[crl.der for crl in lists],
            revinfo_policy=CertRevTrustPolicy(
                RevocationCheckingPolicy(rule, rule), retroactive_revinfo=self._retroactive
            ),
            time_tolerance=timedelta(0),
            allow_fetching=False,
            algorithm_usage_policy=AcceptAllAlgorithms() if self._any_algorithm else None,
        )
        validator = CertificateValidator(self._own.convert(certificate), validation_context=context)
        try:
            found = _drive(validator.async_validate_path())
        except errors.RevokedError as error:
            raise refused("REVOKED", str(error)) from error
        except errors.InsufficientRevinfoError as error:
            raise refused("TRY_LATER", str(error)) from error
        except errors.ExpiredError as error:
            raise refused("EXPIRED", str(error)) from error
        except errors.NotYetValidError as error:
            raise refused("NOT_YET_VALID", str(error)) from error
        except errors.DisallowedAlgorithmError as error:
            raise refused("CRYPTO_CONSTRAINTS_FAILURE", str(error)) from error
        except (errors.PathBuildingError, errors.InvalidCertificateError) as error:
            raise refused("NO_CERTIFICATE_CHAIN_FOUND", str(error)) from error
        except errors.ValidationError as error:
            # Every signature up to the anchor was checked by the caller: what is left are constraints.
            raise refused("CHAIN_CONSTRAINTS_FAILURE", str(error)) from error
        by_der = {
            item.public_bytes(Encoding.DER): item for item in (certificate, *authorities, *self.anchors)
        }
        return tuple(by_der[item.dump()] for item in reversed(list(found)))


class _PerThread(threading.local):
    """asn1crypto's certificates, which parse themselves as they are read: no two threads may share one.

    They are kept because preparing their names for comparison costs more than all signatures of a path.
    """

    def __init__(self) -> None:
        self._converted: dict[x509.Certificate, asn1_x509.Certificate] = {}
        self._manager: SimpleTrustManager | None = None

    def manager(self, anchors: Sequence[x509.Certificate]) -> SimpleTrustManager:
        """The anchors, as pyhanko-certvalidator wants them."""
        if self._manager is None:
            self._manager = SimpleTrustManager.build(trust_roots=[_constrained(anchor) for anchor in anchors])
        return self._manager

    def convert(self, certificate: x509.Certificate) -> asn1_x509.Certificate:
        """A certificate as asn1crypto's."""
        found = self._converted.get(certificate)
        if found is None:
            if len(self._converted) >= _KEPT_CERTIFICATES:
                self._converted.clear()
            found = self._converted[certificate] = _convert(certificate)
        return found


def _constrained(anchor: x509.Certificate) -> CertTrustAnchor:
    """Make an anchor whose path length and name constraints bind, but neither its validity nor policies."""
    converted = _convert(anchor)
    derived = derive_quals_from_cert(converted)
    parameters = derived.standard_parameters
    if parameters is not None:
        parameters = replace(
            parameters, user_initial_policy_set=frozenset({"any_policy"}), initial_explicit_policy=False
        )
    # The library fails on a path length without its twin for attribute authorities, which nobody uses here.
    return CertTrustAnchor(
        converted, TrustQualifiers(parameters, derived.max_path_length, derived.max_path_length)
    )


def _convert(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def _drive(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never waits: without fetching, validation only computes.

    So it needs no event loop, and works in any thread and under a loop that already runs.
    """
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: _T = finished.value
        return result
    coroutine.close()
    raise refused("CERTIFICATE_CHAIN_GENERAL_FAILURE", "path validation asked for the network")
