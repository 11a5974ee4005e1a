"""Errors of the identity package; every one carries a stable code."""

from __future__ import annotations


class IdentityError(Exception):
    """Base of all identity errors; messages hold neither tokens nor personal data.

    Attributes:
        code: stable machine-readable code, part of the interface.
    """

    code = "IDENTITY_ERROR"


class ProviderUnavailable(IdentityError):
    """The provider did not answer in time, or answered that it cannot; the person may try again."""

    code = "IDENTITY_UNAVAILABLE"


class ProviderMisconfigured(IdentityError):
    """Settings, keys or the provider's own description cannot work; someone must change them.

    Attributes:
        code: IDENTITY_MISCONFIGURED (own settings or keys), IDENTITY_DISCOVERY (the provider's description is
            malformed, or is another issuer's), IDENTITY_UNKNOWN_PROVIDER (no provider has this name or issuer).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LoginRefused(IdentityError):
    """A login did not end in a proven identity.

    Attributes:
        code: IDENTITY_DENIED (the person or the provider refused), IDENTITY_STATE (the answer belongs to no
            login begun here), IDENTITY_ISSUER (another provider answered: RFC 9207), IDENTITY_ANSWER (malformed
            answer), IDENTITY_CODE (the provider refused the code: used, expired or another client's),
            IDENTITY_ASSURANCE (proven at a lower level than demanded), IDENTITY_NOT_FRESH (the person was
            not asked again though that was demanded), IDENTITY_SUBJECT (userinfo speaks of somebody else).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TokenRefused(IdentityError):
    """An ID token or logout token is not what it claims or not what was asked for.

    Attributes:
        code: TOKEN_FORMAT, TOKEN_ALGORITHM, TOKEN_KEY (no key of the provider has this name), TOKEN_SIGNATURE,
            TOKEN_ISSUER, TOKEN_AUDIENCE, TOKEN_EXPIRED, TOKEN_NOT_YET, TOKEN_NONCE, TOKEN_HASH (at_hash),
            TOKEN_EVENTS (no logout token, or one where an ID token is due).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
