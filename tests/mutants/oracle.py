"""Says whether a mutant may be PASSED, from the octets alone: slow, and without any of the verifier's own code.

What a PDF shows is read through qpdf as a whole: every page with all that it refers to, and the document's actions,
layers and names. Fields may be filled and signature fields added where the verdict says so.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
import zlib
from typing import Any

import pikepdf
from asn1crypto import cms

from tests.mutants.seeds import Seed
from vault.evidence.findings import Outcome, Verdict

_RANGE = re.compile(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]")
_ENTRIES = (
    "/OCProperties",
    "/OpenAction",
    "/AA",
    "/Names",
    "/Outlines",
    "/Dests",
    "/PageLabels",
    "/Collection",
    "/Lang",
)
_PAGE_ENTRIES = (
    "/Contents",
    "/Resources",
    "/MediaBox",
    "/CropBox",
    "/Rotate",
    "/UserUnit",
    "/AA",
    "/Group",
    "/Trans",
)
_FILLED = {"/V", "/AP", "/AS", "/I", "/RV", "/M", "/F", "/Ff", "/P", "/Parent", "/MK", "/StructParent"}
_BACK = {"/P", "/Parent", "/Popup", "/IRT", "/StructParent", "/StructParents"}
_DEPTH = 40
_COMMENTS = frozenset({"/Text", "/Highlight", "/Underline", "/StrikeOut", "/Squiggly", "/Popup", "/Ink"})


def breach(seed: Seed, data: bytes, verdict: Verdict) -> str:
    """Return why a PASSED mutant should not have been; "" when it may, or was not PASSED."""
    if verdict.verdict is not Outcome.PASSED or data == seed.data:
        return ""
    if not verdict.signatures or any(item.verdict is not Outcome.PASSED for item in verdict.signatures):
        return "PASSED without every signature PASSED"
    return {"pdf": _pdf, "zip": _zip, "der": _der}[seed.kind](seed, data, verdict)


# ---- PDF


def _pdf(seed: Seed, data: bytes, verdict: Verdict) -> str:
    ranges = [tuple(map(int, found)) for found in _RANGE.findall(seed.data)]
    start, first, second, size = min(ranges, key=lambda item: item[2] + item[3])
    end = second + size
    if data[start:first] != seed.data[start:first] or data[second:end] != seed.data[second:end]:
        return "octets under the first signature were changed"
    said = " ".join(change for item in verdict.signatures for change in item.changes_after)
    # Where comments are permitted, and named, those that hide nothing are left out.
    comments = _COMMENTS if "annotation" in said else frozenset()
    try:
        signed, shown = (_shown(item, comments, filled=True) for item in (seed.data[:end], data))
        exact = signed == shown and _shown(seed.data[:end], comments) == _shown(data, comments)
    except (pikepdf.PdfError, ValueError, TypeError, RuntimeError) as error:
        return f"PASSED, but it cannot be read ({error})"
    if signed != shown:
        return "it shows something else than what was signed"
    return "" if exact or said else "fields show something else, and no change is named"


def _shown(data: bytes, comments: frozenset[str], *, filled: bool = False) -> tuple[str, ...]:
    """Return a digest for each thing that is shown; `filled` leaves out what filling a form may change."""
    with pikepdf.open(io.BytesIO(data), suppress_warnings=True, inherit_page_attributes=False) as pdf:
        root = pdf.Root
        out = [_digest({key: root.get(key) for key in _ENTRIES}, filled)]
        for page, inherited in _pages(root.Pages, {}, set()):
            merged = {key: page.get(key, inherited.get(key)) for key in _PAGE_ENTRIES}
            out.append(_digest(merged, filled))
            annotations = page.get("/Annots")
            for item in annotations if isinstance(annotations, pikepdf.Array) else []:
                widget = isinstance(item, pikepdf.Dictionary) and item.get("/Subtype") == "/Widget"
                signature = widget and _inherited(item, "/FT") == "/Sig"
                if isinstance(item, pikepdf.Dictionary) and str(item.get("/Subtype")) in comments:
                    continue
                if filled and signature:
                    # Its appearance is limited elsewhere; an old one is among the fields below.
                    continue
                skip = _FILLED if widget and filled else _BACK | {"/V"} if signature else _BACK
                out.append(_digest(item, filled, skip))
        return tuple(out)


def _pages(node: Any, inherited: dict[str, Any], seen: set[Any]) -> list[tuple[Any, dict[str, Any]]]:
    if node.objgen in seen or not isinstance(node, pikepdf.Dictionary):
        return []
    seen.add(node.objgen)
    if node.get("/Type") == "/Page" or "/Kids" not in node:
        return [(node, inherited)]
    below = inherited | {
        key: node[key] for key in ("/Resources", "/MediaBox", "/CropBox", "/Rotate") if key in node
    }
    return [page for kid in node.Kids for page in _pages(kid, below, seen)]


def _inherited(item: Any, key: str) -> Any:
    for _ in range(20):
        if not isinstance(item, pikepdf.Dictionary):
            return None
        if key in item:
            return item[key]
        item = item.get("/Parent")
    return None


def _digest(value: Any, filled: bool, skip: set[str] | None = None) -> str:
    state = hashlib.sha256()
    _feed(value, state, skip or set(_BACK), frozenset(), filled, 0)
    return state.hexdigest()


def _feed(value: Any, state: Any, skip: set[str], seen: frozenset[Any], filled: bool, depth: int) -> None:
    if depth > _DEPTH:
        state.update(b"deep")
        return
    if isinstance(value, pikepdf.Object) and value.is_indirect:
        if value.objgen in seen:
            state.update(b"again")
            return
        seen |= {value.objgen}
    if isinstance(value, pikepdf.Stream):
        state.update(b"stream" + hashlib.sha256(value.read_raw_bytes()).digest())
        value = {key: item for key, item in value.stream_dict.items() if key != "/Length"}
    if isinstance(value, (pikepdf.Dictionary, dict)):
        if isinstance(value, pikepdf.Dictionary) and value.get("/Type") == "/Page" and depth:
            state.update(b"page")
            return
        state.update(b"<")
        for key in sorted(value.keys()):
            # A null entry is no entry (ISO 32000-2, 7.3.7).
            if key not in skip and value.get(key) is not None:
                state.update(key.encode())
                _feed(
                    value.get(key),
                    state,
                    _BACK | (skip if depth == 0 else set()),
                    seen,
                    filled,
                    depth + 1,
                )
        state.update(b">")
    elif isinstance(value, pikepdf.Array):
        state.update(b"[")
        for item in value:
            _feed(item, state, _BACK, seen, filled, depth + 1)
        state.update(b"]")
    elif isinstance(value, pikepdf.Object):
        state.update(value.unparse(resolved=True))
    else:
        state.update(repr(value).encode())


# ---- containers


def _zip(seed: Seed, data: bytes, verdict: Verdict) -> str:
    before, central, local = _members(seed.data), _members(data), _streamed(data)
    if central is None or local is None or before is None:
        return "PASSED, but another program cannot read it"
    if not any("manifest" in name.lower() for name in before):
        # ASiC-S signs the content of its one file, not the name.
        same = _data_files(before) == _data_files(central) == _data_files(local)
        return "" if same else "the file is not the one that was signed"
    for name, content in before.items():
        if not name.startswith("META-INF/") and name != "mimetype" and central.get(name) != content:
            return f"the file {name} is not the one that was signed"
    if {name: content for name, content in local.items() if content is not None} != {
        name: content for name, content in central.items() if local.get(name) is not None
    }:
        return "the directory and the local headers show two things"
    added = {name for name in central if name not in before and not name.startswith("META-INF/")}
    said = " ".join(f"{check.name} {check.found}" for check in verdict.checks)
    silent = {name for name in added if not name.endswith("/") and name not in said}
    return f"files that nobody signed are not named: {sorted(silent)}" if silent else ""


def _data_files(members: dict[str, Any]) -> list[bytes]:
    return [content for name, content in members.items() if not name.startswith(("META-INF/", "mimetype"))]


def _members(data: bytes) -> dict[str, bytes] | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {item.filename: archive.read(item) for item in archive.infolist()}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, RuntimeError, EOFError, ValueError):
        return None


def _streamed(data: bytes) -> dict[str, bytes | None] | None:
    """Read a zip from its local headers alone, as a program that unpacks while downloading does."""
    out: dict[str, bytes | None] = {}
    at = 0
    while data[at : at + 4] == b"PK\x03\x04":
        flags, method = struct.unpack_from("<HH", data, at + 6)
        packed, _, name_size, extra = struct.unpack_from("<IIHH", data, at + 18)
        start = at + 30 + name_size + extra
        name = data[at + 30 : at + 30 + name_size].decode("utf-8" if flags & 0x800 else "cp437", "replace")
        if method == 8:
            try:
                reader = zlib.decompressobj(-15)
                content = reader.decompress(data[start:], 1 << 24)
            except zlib.error:
                return None
            packed = len(data) - start - len(reader.unused_data)
        elif flags & 8:
            return out | {name: None}
        else:
            content = data[start : start + packed]
        out[name] = content
        at = start + packed
        if flags & 8:
            at += 16 if data[at : at + 4] == b"PK\x07\x08" else 12
    return out


# ---- signatures, tokens and records alone


def _der(seed: Seed, data: bytes, verdict: Verdict) -> str:
    if seed.over or seed.digests:
        return ""
    # The content is inside: the signed attributes lead to it, and must be those that were signed.
    try:
        before, after = (_signed_parts(item) for item in (seed.data, data))
    except (ValueError, TypeError, KeyError) as error:
        return f"PASSED, but another reader cannot read it ({error})"
    return "" if before == after else "content or signed attributes were changed"


def _signed_parts(data: bytes) -> tuple[bytes, ...]:
    signed = cms.ContentInfo.load(data)["content"]
    content = signed["encap_content_info"]["content"].native
    return (content, *(item["signed_attrs"].untag().dump() for item in signed["signer_infos"]))
