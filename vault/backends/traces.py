"""The part of `vault.bootstrap` for traces; what they need is imported only where an address for them is named."""

from __future__ import annotations

from contextlib import ExitStack

from vault.config.tsa_file import read_secret
from vault.core import tracing
from vault.errors import SettingsRefused
from vault.settings import Settings


def open_traces(settings: Settings, running: ExitStack) -> None:
    """Have spans leave for the address that the settings name, until `running` closes; without one do nothing.

    Raises:
        SettingsRefused: the libraries are missing, or a file cannot be read.
    """
    if not settings.traces_endpoint:
        return
    try:
        from vault.observability.traces_otlp import OtlpTracer
    except ImportError as error:
        raise SettingsRefused(
            "SETTINGS_REFUSED",
            "Traces need the libraries of the extra `traces`: pip install 'probans[traces]'.",
        ) from error
    if settings.traces_ca is not None and not settings.traces_ca.is_file():
        raise SettingsRefused("SETTINGS_REFUSED", "PROBANS_TRACES_CA cannot be read.")
    secret = "" if settings.traces_secret_file is None else read_secret(settings.traces_secret_file)
    tracer = OtlpTracer(settings.traces_endpoint, secret, settings.traces_ca, settings.traces_share)
    running.callback(tracer.close)
    tracing.install(tracer)
    running.callback(tracing.install, None)
