"""The ways out that the settings name; asked by `vault.bootstrap` alone."""

from __future__ import annotations

from pathlib import Path

from vault.composition.notices import Channels
from vault.domain.notices import Channel, ChannelName
from vault.errors import SettingsRefused
from vault.notices.log import LogChannel
from vault.notices.mail import MailChannel, MailConfig
from vault.notices.sms import SmsChannel, SmsConfig
from vault.settings import Settings

_LONGEST_SECRET = 4096


def channels_of(settings: Settings) -> Channels:
    """Open the channels. In development, those that are not set write to the log; in production there are none such.

    Raises:
        SettingsRefused: clear text to another machine, a secret that cannot be read, no address for links.
    """
    found: dict[ChannelName, Channel] = {}
    if settings.mail_host:
        found[ChannelName.MAIL] = MailChannel(
            MailConfig(
                host=settings.mail_host,
                port=settings.mail_port,
                security=settings.mail_security,
                sender=settings.mail_from,
                bounces=settings.mail_bounces,
                user=settings.mail_user,
                password=secret_of(settings.mail_password_file) if settings.mail_user else "",
                ca_file=settings.mail_ca,
                connect_s=settings.mail_connect_timeout,
                exchange_s=settings.mail_timeout,
            )
        )
    if settings.sms_url:
        found[ChannelName.SMS] = SmsChannel(
            SmsConfig(
                url=settings.sms_url,
                secret=secret_of(settings.sms_secret_file),
                sender=settings.sms_sender,
                ca_file=settings.sms_ca,
                exchange_s=settings.sms_timeout,
            )
        )
    if found and not settings.address:
        raise SettingsRefused("SETTINGS_REFUSED", "Notices say where the service is: set PROBANS_ADDRESS.")
    logged = not found
    if not settings.is_production:
        for name in ChannelName:
            found.setdefault(name, LogChannel(name))
    hook = settings.notice_hook_secret_file
    return Channels(found, secret_of(hook) if hook is not None else "", logged)


def secret_of(path: Path | None) -> str:
    """Return the one line of a secret's file. Raises SettingsRefused: there is none, or it is empty or not one line."""
    try:
        text = "" if path is None else path.read_text("utf-8")[:_LONGEST_SECRET].removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsRefused("SETTINGS_REFUSED", "a secret's file cannot be read") from error
    if not text or not text.isprintable():
        raise SettingsRefused("SETTINGS_REFUSED", "a secret's file must hold one line")
    return text
