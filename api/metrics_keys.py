"""How long certificates last, in the Prometheus text format."""

from __future__ import annotations

from collections.abc import Sequence

from vault.observability.expiry import Ending

_FAMILY = "probans_certificate_days_left"


def certificates_text(found: Sequence[Ending]) -> str:
    """Write for each kind of certificate the days left of the one that ends first; labels name no administration."""
    lines = [f"# HELP {_FAMILY} Days until the first certificate of a kind ends.", f"# TYPE {_FAMILY} gauge"]
    lines += [f'{_FAMILY}{{purpose="{each.what}"}} {each.days}' for each in found]
    return "\n".join(lines) + "\n"
