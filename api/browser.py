"""What a browser shows of itself: its session, and the proof that a change was asked for on a page of ours.

A session's cookie goes along with every request a browser makes to us, whoever made it do so. So a request that changes
something is only the session's when it also carries the session's form token, which no foreign page can read, and when
the browser does not say that it comes from elsewhere (Origin, Sec-Fetch-Site).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Request
from starlette.responses import Response

from api.deps import get_vault, single_header
from vault.errors import Refused
from vault.people.sessions import Session
from vault.settings import Settings

FORM_HEADER = "Probans-Form-Token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# `__Host-`: only this very host can set it, over TLS, for all of its paths (RFC 6265bis, 4.1.3.2).
_SECURE_PREFIX = "__Host-probans"
# Without TLS, which only development allows and on loopback, browsers differ on Secure cookies and the prefix.
_PLAIN_PREFIX = "probans_session"
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
_TAG = re.compile(r"[0-9a-f]{16}")
_LOCAL = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?(?:\?[A-Za-z0-9._~=&%-]*)?(?:#[A-Za-z0-9_-]*)?")
_LONGEST_PATH = 512
# Coming back to these would begin or end something by itself, or lead in a circle.
_NO_RETURN = ("/connexion", "/deconnexion", "/acces/renforcer", "/dev-identity")


def is_secure(settings: Settings) -> bool:
    """Tell whether browsers reach the service over TLS."""
    return settings.is_production or settings.address.startswith("https://")


def session_cookie(settings: Settings) -> str:
    """Return the name of the session's cookie."""
    return _SECURE_PREFIX if is_secure(settings) else _PLAIN_PREFIX


def login_cookie(settings: Settings, tag: str) -> str:
    """Return the name of the cookie that binds a login to the browser that began it."""
    return f"{session_cookie(settings)}-{tag}"


def set_private_cookie(
    response: Response, settings: Settings, name: str, value: str, max_age: int | None = None
) -> None:
    """Set a cookie for this host alone, out of reach of scripts; it comes along when a provider sends people back."""
    response.set_cookie(
        name, value, max_age=max_age, path="/", secure=is_secure(settings), httponly=True, samesite="lax"
    )


def drop_private_cookie(response: Response, settings: Settings, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(name, path="/", secure=is_secure(settings), httponly=True, samesite="lax")


def session_value(request: Request) -> str:
    """Return the value of the session cookie, "" when there is none or one that cannot be ours."""
    value = request.cookies.get(session_cookie(get_vault(request).settings), "")
    return value if _VALUE.fullmatch(value) else ""


def login_value(request: Request, tag: str) -> str:
    """Return the value of the cookie that binds a login, or ""."""
    if not _TAG.fullmatch(tag):
        return ""
    return request.cookies.get(login_cookie(get_vault(request).settings, tag), "")


def session_of(request: Request) -> Session | None:
    """Return the live session that a browser shows, for pages to be shown by; looked up once a request."""
    if not hasattr(request.state, "session"):
        value = session_value(request)
        request.state.session = get_vault(request).people.login.sessions.find(value) if value else None
    found: Session | None = request.state.session
    return found


def acting_session(request: Request) -> Session | None:
    """Return the live session that asks for this: for a request that changes something, only with its form token."""
    if request.method not in SAFE_METHODS and not is_form_checked(request):
        return None
    return session_of(request)


def form_token_of(request: Request) -> str | None:
    """Return what the forms of a live session carry, None without one."""
    if session_of(request) is None:
        return None
    return get_vault(request).people.login.sessions.form_token(session_value(request))


def is_form_checked(request: Request) -> bool:
    """Tell whether this request was found to come from a page of ours."""
    return getattr(request.state, "form_checked", False) is True


def check_origin(request: Request) -> None:
    """Refuse what a browser says comes from elsewhere. Raises Refused(FORM_EXPIRED).

    Pages of ours are sent with `Referrer-Policy: no-referrer`, under which browsers write `Origin: null` for their own
    forms too (Fetch, 3.2): that word says nothing, and Sec-Fetch-Site and the token decide.
    """
    site, origin = request.headers.get("Sec-Fetch-Site", "none"), request.headers.get("Origin", "null")
    if site not in {"same-origin", "none"} or origin not in {"null", own_origin(request)}:
        raise Refused("FORM_EXPIRED")


def check_token(request: Request, held: str, given: str) -> None:
    """Demand the form token, and note that the request has it. Raises Refused(FORM_EXPIRED)."""
    if not held or not hmac.compare_digest(held.encode(), given.encode(errors="replace")):
        raise Refused("FORM_EXPIRED")
    check_origin(request)
    request.state.form_checked = True


def check_header(request: Request) -> None:
    """Demand the form token in its header where a session asks for a change without a form.

    Raises:
        Refused: FORM_EXPIRED.
    """
    if request.method not in SAFE_METHODS and not is_form_checked(request):
        check_token(request, form_token_of(request) or "", single_header(request, FORM_HEADER) or "")


def own_origin(request: Request) -> str:
    """Return the origin that browsers reach us by: the public address, in development the one asked for.

    In development the host was found to be this machine (`api.middleware`).
    """
    address = get_vault(request).settings.address
    if address:
        parts = urlsplit(address)
        return f"{parts.scheme}://{parts.netloc}"
    return f"http://{request.headers.get('Host', '')}"


def local_path(text: str) -> str:
    """Return a path of this service to go to, or "/" for whatever has not the plain shape of one.

    No scheme, host, backslash, double slash, dot segment or percent sign in the path, no second question mark: nothing
    that a browser could read as another place than we do.
    """
    if not text.startswith("/") or len(text) > _LONGEST_PATH or not _LOCAL.fullmatch(text):
        return "/"
    return "/" if text.startswith(_NO_RETURN) else text


def here(request: Request) -> str:
    """Return the path to come back to after a login: of what was asked for, if it was only to be shown."""
    if request.method not in SAFE_METHODS:
        return "/"
    query = f"?{request.url.query}" if request.url.query else ""
    return local_path(request.url.path + query)


def only_once(request: Request, longest: int = 4096) -> Mapping[str, str]:
    """Return the query's parameters. Raises Refused(LOGIN_EXPIRED): one stands twice, or is too long."""
    pairs = request.query_params.multi_items()
    if len({name for name, _ in pairs}) != len(pairs) or any(len(value) > longest for _, value in pairs):
        raise Refused("LOGIN_EXPIRED")
    return dict(pairs)
