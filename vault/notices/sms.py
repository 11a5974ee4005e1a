"""Text messages through a gateway: one JSON object posted over HTTPS, limited in time.

What a gateway (or the few lines before it that speak its own dialect) must do: take `POST` with
`{"to", "text", "sender", "reference"}` and `Authorization: Bearer`, and answer 200, 201, 202 or 204 once it has taken
the message over; 422 when the number can never be reached; 400 or 413 when the message can never be taken; 429 when
this one must wait. Anything else means that the gateway is down. `Idempotency-Key` is the same at each attempt. What it
learns later it reports to `POST /v1/notices/bounces` with the reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from plumbing.addresses import is_loopback
from plumbing.kept import cut_after, timed_session
from vault.domain.notices import Bounced, ChannelDown, Deferred, Letter, Unsure
from vault.errors import SettingsRefused

_TAKEN = frozenset({200, 201, 202, 204})
_SECRET = re.compile(r"[!-~]{16,512}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True)
class SmsConfig:
    """How text messages leave.

    Attributes:
        url: address of the gateway; `https`, but for this machine itself.
        secret: bearer secret.
        sender: name or number shown as sender, as the gateway wants it; "" leaves it to the gateway.
        ca_file: PEM anchors that vouch for the gateway; the system's when None.
        exchange_s: seconds for one exchange as a whole.
    """

    url: str
    secret: str = field(repr=False)
    sender: str = ""
    ca_file: Path | None = None
    exchange_s: float = 20.0


class SmsChannel:
    """`vault.domain.notices.Channel` over a gateway's HTTP address; for one thread."""

    def __init__(self, config: SmsConfig) -> None:
        """Take the configuration. Raises SettingsRefused: clear text to another machine, no secret, no address."""
        try:
            parts = urlsplit(config.url)
            host = parts.hostname or ""
        except ValueError:
            raise SettingsRefused("SETTINGS_REFUSED", "PROBANS_SMS_URL is no address") from None
        if (
            not host
            or parts.username
            or (parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)))
        ):
            raise SettingsRefused(
                "SETTINGS_REFUSED", "PROBANS_SMS_URL must be https, but for this machine itself"
            )
        if not _SECRET.fullmatch(config.secret):
            raise SettingsRefused(
                "SETTINGS_REFUSED", "the gateway's secret must be 16 to 512 visible characters"
            )
        if config.ca_file is not None and not config.ca_file.is_file():
            raise SettingsRefused("SETTINGS_REFUSED", "PROBANS_SMS_CA cannot be read")
        self._config = config
        self._session = timed_session()

    @property
    def longest_s(self) -> float:
        """See `Channel`."""
        return self._config.exchange_s

    def send(self, letter: Letter) -> None:
        """See `Channel`."""
        config = self._config
        if not _NUMBER.fullmatch(letter.address):
            raise Bounced("SMS_NUMBER_REFUSED", blames_address=True)
        body = {
            "to": letter.address,
            "text": letter.words.text,
            "sender": config.sender,
            "reference": letter.token,
        }
        headers = {"Authorization": f"Bearer {config.secret}", "Idempotency-Key": letter.message_id}
        try:
            with (
                cut_after(config.exchange_s),
                self._session.post(
                    config.url,
                    json=body,
                    headers=headers,
                    timeout=config.exchange_s,
                    verify=True if config.ca_file is None else str(config.ca_file),
                    allow_redirects=False,
                    stream=True,  # nothing but its status is read
                ) as answer,
            ):
                status = answer.status_code
        except requests.exceptions.SSLError as error:
            raise ChannelDown("SMS_TLS_REFUSED") from error
        except requests.RequestException as error:
            if _before_anything(error):
                raise ChannelDown("SMS_UNREACHABLE") from error
            raise Unsure("SMS_NO_ANSWER") from error
        except (OSError, ValueError) as error:
            raise Unsure("SMS_NO_ANSWER") from error
        _judge(status)

    def rest(self) -> None:
        """See `Channel`."""
        self._session.close()


def _judge(status: int) -> None:
    code = f"HTTP_{status}"
    if status in _TAKEN:
        return
    if status in {400, 413, 422}:
        raise Bounced(code, blames_address=status == 422)
    if status == 429:
        raise Deferred(code)
    raise ChannelDown(code)


def _before_anything(error: requests.RequestException) -> bool:
    """Tell whether a failure came before a connection was there."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(cause, NewConnectionError | ConnectTimeoutError)
