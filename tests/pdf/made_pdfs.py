"""Two hundred made PDFs of every structure that a PDF for sealing may have, each a name and its octets.

Three sources: pikepdf (structures, saved in several ways), typst (standards), and octets written here (what no
library writes any more: hybrid files, odd numbers and generations, chains of revisions, old headers).
"""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pikepdf
import typst
from pikepdf import Array, Dictionary, Name, String

COUNT = 200
STANDARDS = {
    "1.4": "1.4",
    "1.5": "1.5",
    "1.6": "1.6",
    "1.7": "1.7",
    "2.0": "2.0",
    "a-1b": "1b",
    "a-1a": "1a",
    "a-2b": "2b",
    "a-2u": "2u",
    "a-2a": "2a",
    "a-3b": "3b",
    "a-3u": "3u",
    "a-3a": "3a",
    "ua-1": "ua1",
}
_GENERATE, _DISABLE = pikepdf.ObjectStreamMode.generate, pikepdf.ObjectStreamMode.disable
SAVED: dict[str, dict[str, Any]] = {
    "table": {"object_stream_mode": _DISABLE},
    "streams": {"object_stream_mode": _GENERATE},
    "linear": {"object_stream_mode": _DISABLE, "linearize": True},
    "linear-streams": {"object_stream_mode": _GENERATE, "linearize": True},
    "raw": {"object_stream_mode": _DISABLE, "compress_streams": False, "qdf": True},
}


def plain(pdf: pikepdf.Pdf) -> None:
    """Nothing besides the pages."""


def deep(depth: int) -> Callable[[pikepdf.Pdf], None]:
    """The first page far below a page tree whose root alone has box and resources."""

    def change(pdf: pikepdf.Pdf) -> None:
        page, *others = [item.obj for item in pdf.pages]
        box, resources = page.MediaBox, page.Resources
        node = page
        for _ in range(depth):
            parent = pdf.make_indirect(Dictionary(Type=Name.Pages, Kids=Array([node]), Count=1))
            node.Parent = parent
            node = parent
        del page["/MediaBox"], page["/Resources"]
        root = pdf.Root.Pages
        node.Parent = root
        root.Kids = Array([node, *others])
        root.MediaBox, root.Resources, root.Rotate = box, resources, 90

    return change


def form(kind: str) -> Callable[[pikepdf.Pdf], None]:
    """A form that is there already."""

    def change(pdf: pikepdf.Pdf) -> None:
        page = pdf.pages[0].obj
        look = pdf.make_stream(b"q Q", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 90, 20]))
        widget = Dictionary(
            Type=Name.Annot,
            Subtype=Name.Widget,
            Rect=Array([50, 50, 140, 70]),
            F=4,
            AP=Dictionary(N=look),
            P=page,
        )
        field = Dictionary(FT=Name.Tx, T=String("Probans1" if kind == "name" else "Nom"), V=String("é"))
        field.DA = String("/Helv 0 Tf 0 g")
        if kind == "kids":
            field = pdf.make_indirect(field)
            widget.Parent = field
            widget = pdf.make_indirect(widget)
            field.Kids = Array([widget])
        else:
            for key, value in field.items():
                widget[key] = value
            field = widget = pdf.make_indirect(widget)
        fields = Array([field])
        if kind == "waiting":
            place = Dictionary(
                FT=Name.Sig, T=String("later"), Type=Name.Annot, Subtype=Name.Widget, F=132, P=page
            )
            place.Rect = Array([0, 0, 0, 0])
            fields.append(pdf.make_indirect(place))
            page.Annots = Array([widget, fields[1]])
        else:
            page.Annots = pdf.make_indirect(Array([widget])) if kind == "indirect" else Array([widget])
        entries = Dictionary(
            Fields=pdf.make_indirect(fields) if kind == "indirect" else fields,
            DA=String("/Helv 0 Tf 0 g"),
            DR=Dictionary(Font=Dictionary(Helv=page.Resources.Font.F1)),
        )
        pdf.Root.AcroForm = entries if kind == "direct" else pdf.make_indirect(entries)

    return change


def annotated(pdf: pikepdf.Pdf) -> None:
    """Links, direct and indirect."""
    link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([60, 500, 160, 520]), F=4)
    link.Dest = Array([pdf.pages[0].obj, Name.Fit])
    other = Dictionary(link)
    other.Rect = Array([60, 400, 160, 420])
    pdf.pages[0].obj.Annots = Array([link, pdf.make_indirect(other)])


def tagged(pdf: pikepdf.Pdf) -> None:
    """Structure elements."""
    page = pdf.pages[0].obj
    root = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot))
    item = Dictionary(Type=Name.StructElem, S=Name.P, P=root, Pg=page, K=0)
    root.K = pdf.make_indirect(item)
    root.ParentTree = Dictionary(Nums=Array([0, Array([root.K])]))
    pdf.Root.StructTreeRoot, pdf.Root.MarkInfo, pdf.Root.Lang = root, Dictionary(Marked=True), String("fr")
    page.StructParents, page.Tabs = 0, Name.R


def odd_values(pdf: pikepdf.Pdf) -> None:
    """Names with escapes, boxes the wrong way round, reals in odd forms, nulls, strings of every octet."""
    pdf.Root["/A B#(é)"] = Name("/C D")
    pdf.Root.Odd = Array([pikepdf.Object.parse(b"-.0010"), True, String(bytes(range(256)).decode("latin-1"))])
    pdf.pages[0].obj.CropBox = Array([600, 842, -10, -5])
    pdf.pages[0].obj.PieceInfo = Dictionary(Probans=Dictionary(Private=String("endobj >> stream ] %%EOF")))


def furnished(pdf: pikepdf.Pdf) -> None:
    """Outlines, names, labels, layers, metadata, information."""
    page = pdf.pages[0].obj
    with pdf.open_outline() as outline:
        outline.root.append(pikepdf.OutlineItem("Un", 0))
    pdf.Root.Names = Dictionary(Dests=Dictionary(Names=Array([String("a"), Array([page, Name.Fit])])))
    pdf.Root.PageLabels = Dictionary(Nums=Array([0, Dictionary(S=Name.r)]))
    group = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("Calque")))
    pdf.Root.OCProperties = Dictionary(OCGs=Array([group]), D=Dictionary(Order=Array([group])))
    pdf.Root.ViewerPreferences = Dictionary(DisplayDocTitle=True)
    pdf.Root.Perms, pdf.Root.DSS = Dictionary(), pdf.make_indirect(Dictionary(Type=Name.DSS))
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as xmp:
        xmp["dc:title"] = "Acte"
    pdf.docinfo["/Title"] = "Acte é"


def rotated(pdf: pikepdf.Pdf) -> None:
    """A page on its side, in larger units."""
    page = pdf.pages[0].obj
    page.Rotate, page.UserUnit = 270, 2


def pictures(pdf: pikepdf.Pdf) -> None:
    """An image with a soft mask, in a group."""
    page = pdf.pages[0].obj
    kind = {"Type": Name.XObject, "Subtype": Name.Image, "Width": 4, "Height": 4, "BitsPerComponent": 8}
    mask = pdf.make_stream(bytes(range(0, 160, 10)), ColorSpace=Name.DeviceGray, **kind)
    image = pdf.make_stream(bytes(range(48)), ColorSpace=Name.DeviceRGB, SMask=mask, **kind)
    page.Resources.XObject = Dictionary(Im0=image)
    page.Group = Dictionary(S=Name.Transparency, CS=Name.DeviceRGB)
    page.Contents = pdf.make_stream(b"q 100 0 0 100 60 600 cm /Im0 Do Q")


def indirect(pdf: pikepdf.Pdf) -> None:
    """Boxes, numbers in them, resources, kids and counts as objects of their own."""
    page = pdf.pages[0].obj
    page.MediaBox = pdf.make_indirect(Array([0, 0, pdf.make_indirect(pikepdf.Object.parse(b"595")), 842]))
    page.CropBox = Array([pdf.make_indirect(pikepdf.Object.parse(b"10.5")), 0, 500, 800])
    page.Resources = pdf.make_indirect(page.Resources)
    page.Annots = pdf.make_indirect(Array([]))
    pdf.Root.Pages.Kids = pdf.make_indirect(pdf.Root.Pages.Kids)
    pdf.Root.MarkInfo = pdf.make_indirect(Dictionary(Marked=False))


def bare_nodes(pdf: pikepdf.Pdf) -> None:
    """Nodes of the page tree without any page, before the first."""
    root = pdf.Root.Pages
    empty = [
        pdf.make_indirect(Dictionary(Type=Name.Pages, Kids=Array([]), Count=0, Parent=root)) for _ in range(3)
    ]
    root.Kids = Array([*empty, *root.Kids])


SHAPES: dict[str, tuple[int, Callable[[pikepdf.Pdf], None]]] = {
    "one-page": (1, plain),
    "thirty-pages": (30, plain),
    "three-hundred-pages": (300, plain),
    "deep-1": (2, deep(1)),
    "deep-7": (3, deep(7)),
    "deep-60": (2, deep(60)),
    "links": (2, annotated),
    "tagged": (1, tagged),
    "odd-values": (1, odd_values),
    "furnished": (4, furnished),
    "rotated": (2, rotated),
    "pictures": (1, pictures),
    "indirect": (2, indirect),
    "bare-nodes": (3, bare_nodes),
    **{
        f"form-{kind}": (1, form(kind)) for kind in ("plain", "kids", "indirect", "direct", "waiting", "name")
    },
}


def _shaped() -> Iterator[tuple[str, bytes]]:
    for shape, (pages, change) in SHAPES.items():
        for way, options in SAVED.items():
            out = io.BytesIO()
            with pikepdf.new() as pdf:
                font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
                font = pdf.make_indirect(font)
                for number in range(pages):
                    page = pdf.add_blank_page(page_size=(595, 842)).obj
                    page.Resources = Dictionary(Font=Dictionary(F1=font))
                    text = b"/P <</MCID 0>> BDC BT /F1 18 Tf 60 760 Td (Page %d) Tj ET EMC" % number
                    page.Contents = pdf.make_stream(text)
                change(pdf)
                pdf.save(out, deterministic_id=True, **options)
            yield f"{shape}.{way}", out.getvalue()


def _standards() -> Iterator[tuple[str, bytes]]:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder:
        for pages in (1, 12, 40):
            source = Path(folder) / "acte.typ"
            more = "\n".join("#pagebreak()\n== Suite\nTexte." for _ in range(pages - 1))
            source.write_text(
                f'#set document(title: "Acte {pages}", date: datetime(year: 2026, month: 11, day: 22))\n'
                f'#set text(lang: "fr")\n= Acte\nUne page.\n{more}\n',
                encoding="utf-8",
            )
            for standard in STANDARDS:
                octets = typst.compile(str(source), format="pdf", pdf_standards=[standard], timestamp=at)
                yield f"typst-{pages}.{standard}", bytes(octets)


class Octets:
    """A PDF under construction, object by object."""

    def __init__(self, header: bytes = b"%PDF-1.4\n", end: bytes = b"\n") -> None:
        self.out = bytearray(header)
        self.at: dict[int, tuple[int, int]] = {}
        self.newest = 0
        self.end = end

    def add(self, number: int, body: bytes, generation: int = 0) -> None:
        self.at[number] = (len(self.out), generation)
        self.out += b"%d %d obj%b%b%bendobj%b" % (number, generation, self.end, body, self.end, self.end)

    def page(
        self, root: tuple[int, int] = (1, 0), pages: tuple[int, int] = (2, 0), page: tuple[int, int] = (3, 0)
    ) -> None:
        contents = b"BT /F1 18 Tf 60 760 Td (Acte) Tj ET"
        number = max(root[0], pages[0], page[0]) + 1
        self.add(root[0], b"<< /Type /Catalog /Pages %d %d R >>" % pages, root[1])
        self.add(pages[0], b"<< /Type /Pages /Kids [ %d %d R ] /Count 1 >>" % page, pages[1])
        font = b"<< /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
        self.add(
            page[0],
            b"<< /Type /Page /Parent %d %d R /MediaBox [0 0 595 842] /Resources << /Font %b >> /Contents %d 0 R >>"
            % (*pages, font, number),
            page[1],
        )
        self.add(
            number, b"<< /Length %d >>%bstream\n%b%bendstream" % (len(contents), self.end, contents, self.end)
        )

    def table(
        self, root: tuple[int, int], *, more: bytes = b"", last: bytes = b"\n", free: bool = True
    ) -> bytes:
        start = len(self.out)
        rows = b"0 1\n0000000000 65535 f \n" if free else b""
        for number, (offset, generation) in sorted(self.at.items()):
            rows += b"%d 1\n%010d %05d n \n" % (number, offset, generation)
        self._trailer(root, more, rows, start, last)
        return bytes(self.out)

    def _trailer(self, root: tuple[int, int], more: bytes, rows: bytes, start: int, last: bytes) -> None:
        self.size = max(getattr(self, "size", 0), max(self.at) + 1)
        previous = b" /Prev %d" % self.newest if self.newest else b""
        self.out += b"xref\n%btrailer\n<< /Size %d /Root %d %d R%b%b >>\n" % (
            rows,
            self.size,
            *root,
            previous,
            more,
        )
        self.out += b"startxref\n%d\n%%%%EOF%b" % (start, last)
        self.newest, self.at = start, {}

    def stream(
        self, root: tuple[int, int], *, widths: tuple[int, int, int] = (1, 4, 2), deflate: bool = False
    ) -> bytes:
        start = len(self.out)
        number = max(self.at) + 1
        self.at[number] = (start, 0)
        data = b"".join(
            b"".join(value.to_bytes(width, "big") for value, width in zip(row, widths, strict=True))
            for row in ((1, *self.at[item]) for item in sorted(self.at))
        )
        index = b" ".join(b"%d 1" % item for item in sorted(self.at))
        filters = b""
        if deflate:
            data, filters = zlib.compress(data), b" /Filter /FlateDecode"
        previous = b" /Prev %d" % self.newest if self.newest else b""
        self.out += (
            b"%d 0 obj\n<< /Type /XRef /W [%d %d %d] /Index [%b] /Size %d /Root %d %d R%b%b /Length %d >>\nstream\n%b\n"
            b"endstream\nendobj\nstartxref\n%d\n%%%%EOF\n"
            % (number, *widths, index, number + 1, *root, previous, filters, len(data), data, start)
        )
        self.newest, self.at = start, {}
        return bytes(self.out)


def _by_hand() -> Iterator[tuple[str, bytes]]:
    for version in ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "2.0"):
        made = Octets(b"%%PDF-%b\n%%\xe2\xe3\xcf\xd3\n" % version.encode())
        made.page()
        yield f"header-{version}", made.table((1, 0))
    for name, last in (("nothing", b""), ("newline", b"\n"), ("return", b"\r\n"), ("blanks", b"\n\n  \n")):
        made = Octets()
        made.page()
        yield f"end-{name}", made.table((1, 0), last=last)
    made = Octets(b"%PDF-1.3\r\n", b"\r\n")
    made.page()
    yield "returns", made.table((1, 0))
    identities = [
        ((1, 7), (2, 0), (3, 65_534)),
        ((1, 1), (2, 2), (3, 3)),
        ((900, 0), (2, 0), (800, 3)),
        ((70_000, 0), (2, 0), (3, 0)),
        ((2, 0), (60_000, 5), (30_000, 0)),
        ((100_000, 1), (99_999, 0), (99_998, 9)),
    ]
    for index, (root, pages, page) in enumerate(identities):
        made = Octets()
        made.page(root, pages, page)
        # qpdf believes in object numbers only up to a third of the file's size.
        made.add(max(made.at) + 1, b"(%b)" % (b" " * 4 * max(made.at)))
        yield f"numbers-{index}", made.table(root)
    for index, more in enumerate(
        (
            b" /ID [<00> <01>]",
            b" /ID [<%b> <%b>]" % (b"ab" * 16, b"cd" * 16),
            b" /Info << /Title (direct) >>",
            b" /Probans [ 1 2 /A (x) ]",
        )
    ):
        made = Octets()
        made.page()
        yield f"trailer-{index}", made.table((1, 0), more=more)
    for index, widths in enumerate(((1, 2, 1), (1, 3, 2), (1, 4, 2), (1, 8, 2), (2, 4, 2), (1, 4, 4))):
        for deflate in (False, True):
            made = Octets(b"%PDF-1.5\n")
            made.page()
            yield (
                f"widths-{index}-{'deflated' if deflate else 'plain'}",
                made.stream((1, 0), widths=widths, deflate=deflate),
            )
    for revisions in (1, 2, 5, 20):
        for kind in ("table", "stream", "mixed"):
            made = Octets(b"%PDF-1.5\n")
            made.page()
            for number in range(revisions + 1):
                stream = kind == "stream" or (kind == "mixed" and number % 2)
                if number:
                    made.add(
                        4,
                        b"<< /Length 0 >>\nstream\n\nendstream"
                        if number % 2
                        else b"<< /Length 1 >>\nstream\n \nendstream",
                    )
                    made.add(20 + 2 * number, b"(new %d)" % number)
                data = made.stream((1, 0)) if stream else made.table((1, 0), free=not number)
            yield f"revisions-{revisions}-{kind}", data
    for size in (2, 30):
        yield f"hybrid-{size}", hybrid(size)
    for number in range(1, 9):
        made = Octets(b"%PDF-1.5\n" if number % 2 else b"%PDF-1.7\n")
        made.page()
        # Objects that nothing refers to, some of them freed by a later revision.
        for extra in range(number * 3):
            made.add(10 + extra, b"[ %d ]" % extra)
        made.table((1, 0))
        made.out += b"% between revisions\n"
        made.add(10, b"null")
        start = len(made.out)
        rows = b"10 1\n%010d %05d n \n11 1\n0000000000 00001 f \n" % made.at[10]
        made._trailer((1, 0), b"", b"0 1\n0000000011 65535 f \n" + rows, start, b"\n")
        yield f"freed-{number}", bytes(made.out)


def hybrid(extra: int) -> bytes:
    """Write a table whose trailer names a cross-reference stream for what lies in an object stream."""
    bodies = [
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << >> >>",
    ]
    bodies += [b"[ %d ]" % number for number in range(extra)]
    numbers = [2, 3, *range(10, 10 + extra)]
    offsets, inner = b"", b""
    for number, body in zip(numbers, bodies, strict=True):
        offsets += b"%d %d " % (number, len(inner))
        inner += body + b" "
    out = bytearray(b"%PDF-1.5\n")
    catalog = len(out)
    out += b"1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    holder = len(out)
    data = offsets + inner
    out += b"4 0 obj\n<< /Type /ObjStm /N %d /First %d /Length %d >>\nstream\n%b\nendstream\nendobj\n" % (
        len(numbers),
        len(offsets),
        len(data),
        data,
    )
    rows = b"".join(b"\x02\x00\x04" + bytes((index,)) for index in range(len(numbers)))
    place = len(out)
    size = max(numbers) + 1
    out += (
        b"5 0 obj\n<< /Type /XRef /W [1 2 1] /Index [2 2 10 %d] /Size %d /Root 1 0 R /Length %d >>\nstream\n%b\n"
        b"endstream\nendobj\n" % (extra, size, len(rows), rows)
    )
    table = len(out)
    out += b"xref\n0 2\n0000000000 65535 f \n%010d 00000 n \n" % catalog
    out += b"4 2\n%010d 00000 n \n%010d 00000 n \n" % (holder, place)
    out += b"trailer\n<< /Size %d /Root 1 0 R /XRefStm %d >>\nstartxref\n%d\n%%%%EOF\n" % (size, place, table)
    return bytes(out)


@cache
def made_pdfs() -> dict[str, bytes]:
    """All of them, by name, in one order."""
    made = {}
    for source in (_shaped(), _standards(), _by_hand()):
        for name, octets in source:
            assert name not in made
            made[name] = octets
    assert len(made) == COUNT
    return made
