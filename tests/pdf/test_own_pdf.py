"""The quick check of our own sealed PDFs: what it accepts full validation accepts, and no changed bit ever."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Dictionary, String

from signing.base import KeyPurpose
from signing.cms import CmsSigner
from signing.own_pdf import check_own_pdf
from signing.pdf_signatures import pdf_signatures
from signing.revision import MaterialObjects, draft_revision, hash_source
from signing.trust import TrustStore
from signing.validate import validate_pdf_signature
from timestamping.own_tokens import OwnTokenVerifier
from timestamping.verify import Rfc3161Verifier

REAL = Path(__file__).resolve().parents[1] / "data" / "pdf-real"
ACTS = frozenset({KeyPurpose.ACT_SEAL})


@pytest.fixture(scope="module")
def quick(pdf_bench: Any) -> Callable[[Path], Any]:
    tokens = OwnTokenVerifier(pdf_bench.trust)
    return lambda path: check_own_pdf(path, pdf_bench.trust, tokens, ACTS)


def full(bench: Any, path: Path) -> Any:
    [signature] = pdf_signatures(path)
    return validate_pdf_signature(signature, bench.trust, bench.timestamps, now=bench.now)


@pytest.mark.parametrize("algorithm", ["p256", "rsa-pss"])
@pytest.mark.parametrize("streams", [False, True])
def test_it_says_what_full_validation_says(
    algorithm: str, streams: bool, make_pdf: Any, pdf_bench: Any, quick: Any
) -> None:
    mode = pikepdf.ObjectStreamMode.generate if streams else pikepdf.ObjectStreamMode.disable
    sealed = pdf_bench.seal(make_pdf(lambda pdf: None, pages=3, object_stream_mode=mode), algorithm)
    assert quick(sealed) == full(pdf_bench, sealed)


def test_real_files(pdf_bench: Any, quick: Any) -> None:
    for path in sorted(REAL.glob("*.pdf")):
        if not path.name.startswith("005-"):
            sealed = pdf_bench.seal(path)
            assert quick(sealed) == full(pdf_bench, sealed), path.name


def test_it_wants_the_right_trust_and_purpose(sealed_pdf: Path, simple_pdf: Path, pdf_bench: Any) -> None:
    tokens = OwnTokenVerifier(pdf_bench.trust)
    stranger = TrustStore([])
    assert check_own_pdf(sealed_pdf, pdf_bench.trust, tokens, frozenset({KeyPurpose.EVIDENCE_SEAL})) is None
    assert check_own_pdf(sealed_pdf, stranger, tokens, ACTS) is None
    assert check_own_pdf(sealed_pdf, pdf_bench.trust, OwnTokenVerifier(stranger), ACTS) is None
    assert check_own_pdf(simple_pdf, pdf_bench.trust, tokens, ACTS) is None
    assert check_own_pdf(simple_pdf.parent / "nowhere", pdf_bench.trust, tokens, ACTS) is None


def flips(bench: Any, quick: Any, sealed: Path, target: Path, places: Any) -> int:
    """Change one bit at each (octet, bit), and count those that are accepted."""
    data = sealed.read_bytes()
    target.write_bytes(data)
    accepted = 0
    with target.open("r+b", buffering=0) as stream:
        for octet, bit in places:
            os.pwrite(stream.fileno(), bytes((data[octet] ^ 1 << bit,)), octet)
            accepted += quick(target) is not None
            os.pwrite(stream.fileno(), data[octet : octet + 1], octet)
    assert quick(target) is not None
    return accepted


def test_no_changed_octet_is_accepted(
    simple_pdf: Path, sealed_pdf: Path, pdf_bench: Any, quick: Any, tmp_path: Path
) -> None:
    """Every octet of a small file and its revision, one bit each; all bits in the soak."""
    size = sealed_pdf.stat().st_size
    places = ((octet, octet % 8) for octet in range(size))
    assert flips(pdf_bench, quick, sealed_pdf, tmp_path / "flipped.pdf", places) == 0


@pytest.mark.soak("own-flips")
@pytest.mark.parametrize("algorithm", ["p256", "rsa-pss"])
@pytest.mark.parametrize("streams", [False, True])
def test_no_changed_bit_is_accepted(
    algorithm: str,
    streams: bool,
    pdf_bench: Any,
    quick: Any,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """All bits of the revision, and 25,000 anywhere before it (100,000 over the four)."""
    chance = random.Random(int(os.environ.get("SOAK_SEED", "1")))
    mode = pikepdf.ObjectStreamMode.generate if streams else pikepdf.ObjectStreamMode.disable
    original = tmp_path / "original.pdf"
    with pikepdf.open(REAL / "004-pdflatex-4-pages.pdf") as pdf:
        pdf.save(original, object_stream_mode=mode)
    sealed = pdf_bench.seal(original, algorithm)
    start, end = original.stat().st_size, sealed.stat().st_size
    revision = [(octet, bit) for octet in range(start, end) for bit in range(8)]
    count = int(os.environ.get("SOAK_COUNT", "25000"))
    before = [(chance.randrange(start), chance.randrange(8)) for _ in range(count)]
    assert flips(pdf_bench, quick, sealed, tmp_path / "flipped.pdf", [*revision, *before]) == 0
    record_property(
        "figure", f"{algorithm}: {len(revision)} bits of the revision, {count} before it: 0 accepted"
    )


def again(bench: Any, path: Path, target: Path, change: Callable[[bytes, bytes, bytes], bytes]) -> Path:
    """Seal by hand: `change` puts head, CMS (of the reserve's size) and tail together."""
    key = bench.key()
    source = bench.source(path)
    signer = CmsSigner(key)
    reserve = signer.max_size(key.chain, (), bench.authority.expected_size, None)
    draft = draft_revision(source, MaterialObjects.of(bench.material(key)), reserve, bench.now)
    state = hash_source(source)
    state.update(draft.head + draft.tail)
    cms = signer.sign(state.digest(), signing_time=None, certificates=key.chain, crls=())
    encoded = cms.finish(bench.authority.token(cms.imprint).der).ljust(reserve, b"\x00")
    target.write_bytes(change(path.read_bytes() + draft.head, encoded, draft.tail))
    return target


def test_other_writings_go_to_the_full_engine(
    simple_pdf: Path, pdf_bench: Any, quick: Any, tmp_path: Path
) -> None:
    def whole(head: bytes, cms: bytes, tail: bytes) -> bytes:
        return head + b"<" + cms.hex().encode() + b">" + tail

    def seal(change: Callable[[bytes, bytes, bytes], bytes]) -> Any:
        return quick(again(pdf_bench, simple_pdf, tmp_path / "again.pdf", change))

    assert seal(whole) is not None
    assert seal(lambda head, cms, tail: head + b"<" + cms.hex().upper().encode() + b">" + tail) is None
    assert seal(lambda head, cms, tail: whole(head, cms + bytes(17), tail)) is None
    assert seal(lambda head, cms, tail: whole(head, cms, tail) + b"\n") is None
    assert seal(lambda head, cms, tail: whole(head, cms, tail + tail)) is None
    assert seal(lambda head, cms, tail: head + cms.hex().encode() + tail) is None


def test_the_gap_cannot_be_moved(pdf_bench: Any, quick: Any, tmp_path: Path) -> None:
    """Octets that look like the end of a signature dictionary, in the input, do not become one.

    The signed octets are the same with the gap elsewhere; only its place tells the two files apart.
    """
    decoy = tmp_path / "decoy.pdf"
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        width = 48
        room = b"/ByteRange " + b"#" * width + b" /Contents " + b" >>\nendobj\nxref\n0 1\n"
        pdf.pages[0].obj.PieceInfo = Dictionary(A=String("x"))
        pdf.Root.Extra = pdf.make_stream(room)
        pdf.save(decoy, compress_streams=False)
    sealed = pdf_bench.seal(decoy)
    data = sealed.read_bytes()
    gap = data.index(b"/Contents <") + len(b"/Contents ")
    end = data.index(b">", gap) + 1
    text = data[gap:end]
    signed = data[:gap] + data[end:]
    place = signed.index(b"#" * width) + width + len(b" /Contents ")
    size = len(text)
    # The input is what the attacker writes: the numbers that will be right are known before sealing.
    numbers = (b"[0 %d %d %d]" % (place, place + size, len(signed) - place)).ljust(width)
    decoy.write_bytes(decoy.read_bytes().replace(b"#" * width, numbers))
    sealed = pdf_bench.seal(decoy)
    data = sealed.read_bytes()
    assert quick(sealed) is not None
    real = data.rindex(b"/Contents <") + len(b"/Contents ")
    contents = data[real : real + size]
    signed = data[:real] + data[real + size :]
    assert signed[:place].endswith(numbers + b" /Contents ")
    moved = tmp_path / "moved.pdf"
    moved.write_bytes(signed[:place] + contents + signed[place:])
    assert hashlib.sha256(moved.read_bytes()[:place] + moved.read_bytes()[place + size :]).digest() == (
        hashlib.sha256(signed).digest()
    )
    assert quick(moved) is None


def test_a_seal_beside_a_file_is_none_inside_one(
    simple_pdf: Path, pdf_bench: Any, quick: Any, tmp_path: Path
) -> None:
    """The act seal signs manifests too, always with the signing-time: that never stands for a PDF."""
    from tests.pdf.test_validate_pdf import sealed_by

    path = sealed_by(pdf_bench, simple_pdf, tmp_path / "timed.pdf", signing_time=pdf_bench.now)
    assert quick(path) is None


def test_foreign_tokens_and_forms_are_none(sealed_pdf: Path, pdf_bench: Any) -> None:
    """A verifier that knows the token's form only in full gives the same answer."""
    tokens = Rfc3161Verifier(pdf_bench.trust, strict=True)
    assert check_own_pdf(sealed_pdf, pdf_bench.trust, tokens, ACTS) == full(pdf_bench, sealed_pdf)


def test_own_tokens_are_judged_as_the_full_verifier_judges(pdf_bench: Any) -> None:
    quick_tokens, full_tokens = (
        OwnTokenVerifier(pdf_bench.trust),
        Rfc3161Verifier(pdf_bench.trust, strict=True),
    )
    crls = pdf_bench.pki.crls(pdf_bench.now)
    imprint = hashlib.sha256(b"x").digest()
    token = pdf_bench.authority.token(imprint).der
    assert quick_tokens.verify(token, imprint, crls=crls) == full_tokens.verify(token, imprint, crls=crls)
    assert quick_tokens._rebuilt(token, imprint, (), crls) is not None
    assert quick_tokens._rebuilt(token, hashlib.sha256(b"y").digest(), (), crls) is None
    for octet in range(len(token)):
        changed = bytearray(token)
        changed[octet] ^= 1 << octet % 8
        assert quick_tokens._rebuilt(bytes(changed), imprint, (), crls) is None, octet
