"""Keys: one purpose each, said in the certificate and enforced before use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing.base import KeyPurpose
from signing.crl import issued
from signing.errors import KeyUnusable
from signing.signers import ECDSA_P256, RSA_PSS, Signer, SoftSigner

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# X.667: anyone may own an arc under 2.25 from a UUID, so no registration stands behind these identifiers.
PROBANS_ARC = "2.25.35378697793217730653910558422940788118"
PURPOSE_OIDS = MappingProxyType(
    {
        KeyPurpose.ACT_SEAL: x509.ObjectIdentifier(f"{PROBANS_ARC}.1"),
        KeyPurpose.RECEPTION_SEAL: x509.ObjectIdentifier(f"{PROBANS_ARC}.2"),
        KeyPurpose.EVIDENCE_SEAL: x509.ObjectIdentifier(f"{PROBANS_ARC}.3"),
        KeyPurpose.TIMESTAMP: x509.ObjectIdentifier(f"{PROBANS_ARC}.4"),
    }
)

_FORBIDDEN_SEAL_EKUS = frozenset(
    {
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.OCSP_SIGNING,
    }
)
# What a hostile or damaged certificate makes the library throw when its parts are read.
_UNREADABLE = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)


def certificate_purposes(certificate: x509.Certificate) -> frozenset[KeyPurpose]:
    """Return the Probans purposes that a certificate's policies state; empty when it states none.

    Raises:
        KeyUnusable: the certificate's extensions cannot be read.
    """
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return frozenset()
    except _UNREADABLE as error:
        raise KeyUnusable("the certificate's extensions cannot be read") from error
    stated = {policy.policy_identifier for policy in policies}
    return frozenset(purpose for purpose, oid in PURPOSE_OIDS.items() if oid in stated)


def check_role(certificate: x509.Certificate, purpose: KeyPurpose) -> None:
    """Refuse a certificate that may not serve a purpose.

    1. Its policies state the purpose, and no other of Probans: who verifies refuses a seal that could be either.
    2. It is no CA.
    3. keyUsage allows digitalSignature or contentCommitment (RFC 5280 section 4.2.1.3).
    4. A timestamp certificate has a critical and sole timeStamping extended key usage (RFC 3161 section 2.3);
       any other has no timestamp, TLS or OCSP usage.

    Raises:
        KeyUnusable: with the first rule that the certificate breaks.
    """
    # 1
    stated = certificate_purposes(certificate)
    if purpose not in stated:
        raise KeyUnusable(f"the certificate does not state the purpose {purpose.value}")
    if len(stated) != 1:
        raise KeyUnusable(f"the certificate states other purposes beside {purpose.value}")
    extensions = certificate.extensions
    # 2
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise KeyUnusable("a CA certificate may not seal or timestamp")
    except x509.ExtensionNotFound:
        pass
    # 3
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise KeyUnusable("the certificate has no key usage extension") from None
    if not (usage.digital_signature or usage.content_commitment):
        raise KeyUnusable("the key usage allows neither digitalSignature nor contentCommitment")
    # 4
    _check_extended_usage(extensions, purpose)


def _check_extended_usage(extensions: x509.Extensions, purpose: KeyPurpose) -> None:
    try:
        extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        if purpose is KeyPurpose.TIMESTAMP:
            raise KeyUnusable("a timestamp certificate needs the timeStamping extended key usage") from None
        return
    if purpose is KeyPurpose.TIMESTAMP:
        if not extended.critical or list(extended.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
            raise KeyUnusable("timeStamping must be the critical and sole extended key usage")
    elif _FORBIDDEN_SEAL_EKUS.intersection(extended.value):
        raise KeyUnusable("a timestamp, TLS or OCSP certificate may not seal")


@dataclass(frozen=True, slots=True)
class SealKey:
    """A key that signs, wherever it lies, with its certificate, its issuers and its one purpose.

    Attributes:
        certificate: the key's certificate.
        chain: its issuers in order, root excluded.
        purpose: the one thing the key may do.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    purpose: KeyPurpose
    _signer: Signer = field(repr=False, compare=False)

    @classmethod
    def from_private_key(
        cls,
        private: object,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
        purpose: KeyPurpose,
    ) -> SealKey:
        """Bind a private key to its certificate and purpose.

        Args:
            private: P-256 key, or RSA key of 3072 or 4096 bits.
            certificate: the certificate of that key.
            chain: certificates among which the issuers are, in any order; roots in it are dropped.
            purpose: what the key will be used for.

        Raises:
            KeyUnusable: unfit algorithm, key of another certificate, or a certificate that may not do this.
        """
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise KeyUnusable("only P-256 and RSA keys make seals")
        return cls.from_signer(SoftSigner(private), certificate, chain, purpose)

    @classmethod
    def from_signer(
        cls,
        signer: Signer,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
        purpose: KeyPurpose,
    ) -> SealKey:
        """Bind whatever signs, a token or a remote service too, to its certificate and purpose.

        Args:
            signer: signs with ECDSA on P-256 or RSASSA-PSS.
            certificate: the certificate of its key.
            chain: certificates among which the issuers are, in any order; roots in it are dropped.
            purpose: what the key will be used for.

        Raises:
            KeyUnusable: unfit algorithm, key of another certificate, or a certificate that may not do this.
        """
        if signer.algorithm not in (ECDSA_P256, RSA_PSS):
            raise KeyUnusable(f"no seal is made with {signer.algorithm}")
        try:
            matches = certificate.public_key() == signer.public_key()
        except _UNREADABLE as error:
            raise KeyUnusable("the certificate's public key cannot be read") from error
        if not matches:
            raise KeyUnusable("the certificate belongs to another key")
        check_role(certificate, purpose)
        return cls(certificate, issuers_of(certificate, chain), purpose, signer)

    @property
    def algorithm(self) -> str:
        """`ecdsa-p256-sha256` or `rsassa-pss-sha256`."""
        return self._signer.algorithm

    @property
    def max_signature_size(self) -> int:
        """The largest signature in octets: 72 for P-256 (DER), for RSA the modulus (384 for 3072 bits)."""
        return self._signer.max_signature_size

    def sign(self, data: bytes) -> bytes:
        """Sign data with SHA-256.

        ECDSA gives a DER Ecdsa-Sig-Value; RSASSA-PSS uses MGF1-SHA-256 and a salt of 32 octets.

        Raises:
            SigningUnavailable: a key that lies elsewhere does not answer now.

        Source: FIPS 186-5; RFC 5754 section 3.3; RFC 4056.
        """
        return self._signer.sign(data)

    def require_valid_at(self, moment: datetime) -> None:
        """Refuse the key outside its certificate's validity.

        Raises:
            KeyUnusable: `moment` is before notBefore or after notAfter.
        """
        if not self.certificate.not_valid_before_utc <= moment <= self.certificate.not_valid_after_utc:
            raise KeyUnusable("the certificate is not valid at this time")

    def require_purpose(self, *allowed: KeyPurpose) -> None:
        """Refuse to work for a purpose that is not the key's.

        Raises:
            KeyUnusable: the key's purpose is not among `allowed`.
        """
        if self.purpose not in allowed:
            names = ", ".join(purpose.value for purpose in allowed)
            raise KeyUnusable(f"a {self.purpose.value} key may not serve here ({names} expected)")


def load_pkcs12(path: Path, passphrase: bytes, purpose: KeyPurpose) -> SealKey:
    """Load a key with its certificates from a PKCS#12 file (RFC 7292).

    Args:
        path: the file.
        passphrase: what opens it.
        purpose: what the key will be used for; its certificate must state it.

    Raises:
        KeyUnusable: unreadable file, wrong passphrase, missing key or certificate, or unfit certificate.
    """
    try:
        private, certificate, others = pkcs12.load_key_and_certificates(path.read_bytes(), passphrase)
    except OSError as error:
        raise KeyUnusable("the key file cannot be read") from error
    except _UNREADABLE as error:
        raise KeyUnusable("the key file does not open with this passphrase") from error
    if private is None or certificate is None:
        raise KeyUnusable("the key file must hold a private key and its certificate")
    return SealKey.from_private_key(private, certificate, others, purpose)


def issuers_of(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Return the issuers of a certificate in order, its own first, the root left out, found by their signatures."""
    found: list[x509.Certificate] = []
    current = certificate
    while True:
        for candidate in candidates:
            if (
                candidate not in found
                and candidate.subject != candidate.issuer
                and issued(candidate, current)
            ):
                found.append(candidate)
                current = candidate
                break
        else:
            return tuple(found)
