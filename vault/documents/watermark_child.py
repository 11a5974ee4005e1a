"""Makes one marked copy: `python -I -m vault.documents.watermark_child TYPE LIMITS SOURCE BAND TILE OUT`.

All files are descriptors. Run by `vault.documents.watermarks`. Prints why it did not, as one word; dying is an
answer too.
"""

from __future__ import annotations

import json
import math
import resource
import sys
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pikepdf
from pikepdf import Array, Dictionary, Name, Object
from PIL import Image, ImageOps

from vault.errors import Refused
from vault.files.pdf_guard import InspectionLimits, fence
from vault.files.qpdf_limits import limit_qpdf

_FLATE_LIMIT = 256 * 1024 * 1024
_LONGEST_SIDE = 14_400.0  # points (ISO 32000-1, annex C)
_SHORTEST_SIDE = 3.0
_MOST_TILES = 8
_QUALITY = 88


class _Sheet(NamedTuple):
    """A page as it is seen: where its lower left corner is drawn, and its sides in points."""

    left: float
    bottom: float
    width: float
    height: float


def mark_pdf(source: Path, band: Path, tile: Path, out: BinaryIO, pages: int) -> None:
    """Write a new PDF that shows the pages of another one, marked.

    Each page is drawn as one self-contained object, so that nothing it leaves open (graphics states, clipping) reaches
    the mark. What its annotations show is drawn with it; optional content keeps its state.

    Raises:
        Refused: COPY_IMPOSSIBLE, too many pages, or a page without usable sides.
    """
    with pikepdf.open(source) as pdf, pikepdf.open(band) as strip, pikepdf.open(tile) as square:
        if not 0 < len(pdf.pages) <= pages:
            raise _not_made("pages")
        pdf.flatten_annotations("screen")
        made = pikepdf.new()
        forms = Dictionary(
            Band=made.copy_foreign(strip.pages[0].as_form_xobject()),
            Tile=made.copy_foreign(square.pages[0].as_form_xobject()),
        )
        for page in pdf.pages:
            _add_page(made, page, forms)
        layers = pdf.Root.get(Name.OCProperties)
        if isinstance(layers, Dictionary):
            made.Root.OCProperties = made.copy_foreign(pdf.make_indirect(layers))
        made.Root.ViewerPreferences = Dictionary(DisplayDocTitle=True)
        made.docinfo = made.make_indirect(Dictionary(Title="Copie – Copy"))
        made.save(out, deterministic_id=True, object_stream_mode=pikepdf.ObjectStreamMode.generate)


def mark_image(source: Path, band: Path, tile: Path, out: BinaryIO, media_type: str, pixels: int) -> None:
    """Write an image of what another one shows, marked in its pixels, without its metadata.

    Raises:
        Refused: COPY_IMPOSSIBLE, too many pixels.
    """
    kind = "JPEG" if media_type == "image/jpeg" else "PNG"
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(source, formats=[kind]) as opened:
        if opened.width * opened.height > pixels:
            raise _not_made("pixels")
        picture = _plain(opened)
    with Image.open(band, formats=["PNG"]) as opened:
        strip = opened.convert("RGB")
    with Image.open(tile, formats=["PNG"]) as opened:
        square = opened.convert("RGBA")
    side = max(1, min(picture.size))
    square = square.resize((side, side))
    for left in range(0, picture.width, side):
        for top in range(0, picture.height, side):
            picture.paste(square, (left, top), square)
    strip = strip.resize((picture.width, max(1, round(strip.height * picture.width / strip.width))))
    made = Image.new("RGB", (picture.width, picture.height + strip.height), "white")
    made.paste(picture, (0, 0))
    made.paste(strip, (0, picture.height))
    made.save(out, kind, **({"quality": _QUALITY} if kind == "JPEG" else {}))


def _add_page(made: pikepdf.Pdf, page: pikepdf.Page, forms: Dictionary) -> None:
    page.obj.TrimBox = Array(list(page.cropbox))
    form = page.as_form_xobject()
    sheet = _sheet(form)
    below = _bbox(forms.Band)
    scale = sheet.width / below[2]
    strip = below[3] * scale
    side = min(sheet.width, sheet.height)
    tiles = min(_MOST_TILES, math.ceil(max(sheet.width, sheet.height) / side))
    ratio = side / _bbox(forms.Tile)[2]
    drawn = [
        f"q 1 0 0 1 {-sheet.left:.4f} {strip - sheet.bottom:.4f} cm /Seen Do Q",
        f"q {scale:.6f} 0 0 {scale:.6f} 0 0 cm /Band Do Q",
    ]
    for number in range(tiles):
        # The last one ends where the page does.
        along = number * (max(sheet.width, sheet.height) - side) / max(1, tiles - 1)
        left, bottom = (along, 0.0) if sheet.width >= sheet.height else (0.0, along)
        drawn.append(f"q {ratio:.6f} 0 0 {ratio:.6f} {left:.4f} {bottom + strip:.4f} cm /Tile Do Q")
    shown = Dictionary(Seen=made.copy_foreign(form), Band=forms.Band, Tile=forms.Tile)
    new = Dictionary(
        Type=Name.Page,
        MediaBox=Array([0, 0, round(sheet.width, 4), round(sheet.height + strip, 4)]),
        Resources=Dictionary(XObject=shown),
        Contents=made.make_stream("\n".join(drawn).encode("ascii")),
    )
    made.pages.append(pikepdf.Page(made.make_indirect(new)))


def _bbox(form: Object) -> tuple[float, float, float, float]:
    left, bottom, right, top = (float(each) for each in form.BBox)
    return min(left, right), min(bottom, top), max(left, right), max(bottom, top)


def _sheet(form: Object) -> _Sheet:
    """Return where a form is drawn, its matrix (rotation, user units) taken into account."""
    left, bottom, right, top = _bbox(form)
    a, b, c, d, e, f = (float(each) for each in form.get(Name.Matrix, Array([1, 0, 0, 1, 0, 0])))
    corners = [(a * x + c * y + e, b * x + d * y + f) for x in (left, right) for y in (bottom, top)]
    across, up = [x for x, _ in corners], [y for _, y in corners]
    sheet = _Sheet(min(across), min(up), max(across) - min(across), max(up) - min(up))
    sides = (sheet.width, sheet.height)
    if not all(math.isfinite(each) for each in sheet) or not all(
        _SHORTEST_SIDE <= each <= _LONGEST_SIDE for each in sides
    ):
        raise _not_made("damaged")
    return sheet


def _plain(opened: Image.Image) -> Image.Image:
    """Return a picture upright, in eight bits of red, green and blue, on white where it is transparent."""
    picture: Image.Image = ImageOps.exif_transpose(opened)
    if picture.mode.startswith("I;16") or picture.mode == "I":
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    if "A" in picture.getbands() or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        white = Image.new("RGB", layered.size, "white")
        white.paste(layered, (0, 0), layered)
        return white
    return picture.convert("RGB")


def _not_made(reason: str) -> Refused:
    return Refused("COPY_IMPOSSIBLE", reason=reason)


def _path(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}")


def main(arguments: list[str]) -> int:
    """Fence this process, make the copy; returns the exit status."""
    media_type, limits = arguments[0], json.loads(arguments[1])
    source, band, tile, out = (int(each) for each in arguments[2:])
    fence(InspectionLimits(memory=limits["memory"]), limits["seconds"])
    largest = 4 * limits["size"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    # Content of pages and pictures is decoded here, which the service itself never does: the fence is the limit.
    limit_qpdf(_FLATE_LIMIT)
    try:
        with open(out, "w+b", closefd=False) as stream:
            if media_type == "application/pdf":
                mark_pdf(_path(source), _path(band), _path(tile), stream, limits["pages"])
            else:
                paths = _path(source), _path(band), _path(tile)
                mark_image(*paths, stream, media_type, limits["pixels"])
    except Refused as error:
        reason = str(error.params["reason"])
    except MemoryError:
        reason = "limits"
    except pikepdf.PasswordError:
        reason = "password"
    except Exception:  # whatever the libraries make of a hostile file
        reason = "damaged"
    else:
        return 0
    sys.stdout.write(reason)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
