"""qpdf's own limits, which hold for a whole process."""

from __future__ import annotations

from pikepdf import settings as qpdf_settings

_MEMBERS = 1_000_000


def limit_qpdf(octets: int) -> None:
    """Let no filter of a stream give more than so many octets, and no array or dictionary have over a million members.

    Args:
        octets: for every pikepdf user of the process.
    """
    qpdf_settings.set_qpdf_limits(
        flate_max_memory=octets,
        run_length_max_memory=octets,
        png_max_memory=octets,
        tiff_max_memory=octets,
        parser_max_container_size=_MEMBERS,
    )
