"""Nothing hides in a CMS or an OCSP response: what is no field of theirs, or stands twice, is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asn1crypto import cms, core

from signing.ber import Walk, read_element
from signing.cms_frame import check_cms_frame, check_ocsp_frame
from signing.errors import SignatureRefused
from signing.foreign_cms import content_inside, read_foreign, signer_count
from signing.ocsp import read_ocsps

NULL = b"\x05\x00"
CONTENT = b"what was signed"
# Certificates, revocation data, names and attribute values have readers of their own.
Node = tuple[int, Any]


def node(data: bytes) -> Node:
    """Take one DER element apart: (tag, content), or (tag, parts) of a constructed one."""
    element = read_element(data, 0, len(data))
    if not element.tag & 0x20:
        return element.tag, data[element.start : element.stop]
    parts, at = [], element.start
    while at < element.stop:
        end = read_element(data, at, element.stop).end
        parts.append(node(data[at:end]))
        at = end
    return element.tag, parts


def encoded(item: Node, *, indefinite: Callable[[Node], bool] = lambda _: False) -> bytes:
    tag, value = item
    content = (
        value
        if isinstance(value, bytes)
        else b"".join(encoded(part, indefinite=indefinite) for part in value)
    )
    if indefinite(item):
        return bytes((tag, 0x80)) + content + b"\0\0"
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def frame(item: Node) -> Iterator[list[Node]]:
    """Give the parts of every constructed element that belongs to the frame of a CMS."""
    info = item[1]
    data = info[1][1][0][1]
    yield from (info, info[1][1], data, data[1][1], data[2][1])
    yield from (algorithm[1] for algorithm in data[1][1])
    yield from (part[1] for part in data[2][1] if part[0] == 0xA0)
    for part in data[3:-1]:
        if part[0] == 0xA1:
            yield from (other[1] for other in part[1] if other[0] == 0xA1)
    yield data[-1][1]
    for signer in data[-1][1]:
        yield from (signer[1], signer[1][1][1], signer[1][2][1])
        name = signer[1][1][1][0][1]
        yield from (name, name[0][1], name[0][1][0][1])
        yield from (part[1] for part in signer[1][3:] if part[0] == 0x30)
        for attributes in (part[1] for part in signer[1][3:] if part[0] in (0xA0, 0xA1)):
            yield attributes
            yield from (attribute[1] for attribute in attributes)


@pytest.fixture(params=["detached", "attached"])
def made(request: pytest.FixtureRequest, world: Any) -> bytes:
    ocsp = world.ocsp(world.signer.certificate, world.ca)
    unsigned = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.Integer(7)]})
    inside = CONTENT if request.param == "attached" else None
    return extended(world.sign(inside=inside, crls=[world.crl(world.ca)], ocsps=[ocsp]), unsigned.dump())


def extended(der: bytes, attribute: bytes) -> bytes:
    tree = node(der)
    tree[1][1][1][0][1][-1][1][0][1].append((0xA1, [node(attribute)]))
    return encoded(tree)


def places(der: bytes) -> int:
    return len(list(frame(node(der))))


def test_what_is_made_here_is_well_formed(made: bytes) -> None:
    assert encoded(node(made)) == made
    check_cms_frame(made)
    assert read_foreign(made).content == (CONTENT if read_foreign(made).content else None)
    assert places(made) > 15


@pytest.mark.parametrize("extra", [NULL, None], ids=["null", "the last again"])
def test_something_after_the_last_field(made: bytes, extra: bytes | None) -> None:
    repeatable, codes = set(), set()
    for index in range(places(made)):
        tree = node(made)
        parts = list(frame(tree))[index]
        # Twice, as one more may be the parameters of an algorithm.
        parts += [parts[-1] if extra is None else node(extra)] * 2
        changed = encoded(tree)
        try:
            check_cms_frame(changed)
        except SignatureRefused as error:
            codes.add(error.code)
            with pytest.raises(SignatureRefused) as refused:
                read_foreign(changed)
            codes.add(refused.value.code)
        else:
            repeatable.add(index)
    assert codes == {"FORMAT_FAILURE"}
    # Only sets take more of their members: algorithms, signers, attributes signed and unsigned, parts of names (twice).
    assert len(repeatable) == (0 if extra else 6)


def test_a_second_signed_data_behind_the_first(world: Any) -> None:
    tree, other = node(world.sign()), node(world.sign(content=b"another"))
    tree[1][1][1].append(other[1][1][1][0])
    judged = world.judge(encoded(tree))
    assert judged.error.code == "FORMAT_FAILURE"
    assert not judged.error.indeterminate
    tree[1][1][1].reverse()
    assert world.judge(encoded(tree)).error.code == "FORMAT_FAILURE"


def test_a_second_content_behind_the_first(world: Any) -> None:
    tree = node(world.sign(inside=CONTENT))
    tree[1][1][1][0][1][2][1][1][1].append((0x04, b"another"))
    assert world.judge(encoded(tree), attached=True).error.code == "FORMAT_FAILURE"


def test_a_signature_as_content_is_refused_at_once(world: Any) -> None:
    tree, inner = node(world.sign()), node(world.sign())
    tree[1][1][1][0][1][2] = inner
    begun = time.process_time()
    with pytest.raises(SignatureRefused) as refused:
        content_inside(encoded(tree))
    assert refused.value.code == "FORMAT_FAILURE"
    assert time.process_time() - begun < 0.2


def test_one_signature_is_not_two(world: Any) -> None:
    tree = node(world.sign(inside=CONTENT))
    signers = tree[1][1][1][0][1][-1][1]
    signers.append(signers[0])
    with pytest.raises(SignatureRefused) as refused:
        signer_count(encoded(tree))
    assert refused.value.code == "FORMAT_FAILURE"
    assert signer_count(world.sign(inside=CONTENT, signers=2)) == 2


def test_indefinite_lengths_are_read(made: bytes) -> None:
    for chosen in (
        lambda item: item[0] in (0x30, 0xA0) and len(encoded(item)) > 1000,
        lambda item: item == node(made),
    ):
        changed = encoded(node(made), indefinite=chosen)
        assert changed != made
        check_cms_frame(changed)
        assert read_foreign(changed).signature == read_foreign(made).signature


def test_a_content_in_pieces_is_one_of_octets(world: Any) -> None:
    tree = node(world.sign(inside=CONTENT))
    explicit = tree[1][1][1][0][1][2][1][1][1]
    for last, code in (((0x04, CONTENT[4:]), ""), ((0x02, CONTENT[4:]), "FORMAT_FAILURE")):
        explicit[0] = (0x24, [(0x04, CONTENT[:4]), last])
        error = world.judge(encoded(tree, indefinite=lambda item: item[0] == 0x24), attached=True).error
        assert (error.code if error else "") == code


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((1, 0, 0), (0x02, b"\x00")),  # versions that there are not
        ((1, 0, 0), (0x02, b"\x00\x01")),
        ((1, 0, 0), (0x02, b"\x09")),
        ((0,), (0x06, bytes.fromhex("2a8048864886f70d010702"))),  # a padded identifier
        ((1, 0, 2, 0), (0x06, bytes.fromhex("2a86488680f70d010701"))),
        ((1, 0, 2, 0), (0x06, b"")),
        ((1, 0, -1, 0, 5), (0x84, b"x")),
        ((1, 0, 1), (0x30, [])),
    ],
)
def test_fields_of_another_kind(world: Any, path: tuple[int, ...], value: Node) -> None:
    tree = node(world.sign())
    parts = tree[1]
    for step in path[:-1]:
        parts = parts[step][1]
    parts[path[-1]] = value
    with pytest.raises(SignatureRefused) as refused:
        read_foreign(encoded(tree))
    assert refused.value.code == "FORMAT_FAILURE"


def test_parameters_of_pss_hold_one_thing_each() -> None:
    def algorithm(second: bytes) -> bytes:
        sha256 = node(bytes.fromhex("300d06096086480165030402010500"))
        pss = (0x30, [(0xA0, [sha256, *([node(second)] if second else [])]), (0xA2, [(0x02, b"\x20")])])
        signer = (
            0x30,
            [
                (0x02, b"\3"),
                (0x80, b"key"),
                sha256,
                (0x30, [(0x06, bytes.fromhex("2a864886f70d01010a")), pss]),
                (0x04, b"value"),
            ],
        )
        data = (0x30, [(0x06, bytes.fromhex("2a864886f70d010701"))])
        signed_data = (0x30, [(0x02, b"\1"), (0x31, [sha256]), data, (0x31, [signer])])
        return encoded((0x30, [(0x06, bytes.fromhex("2a864886f70d010702")), (0xA0, [signed_data])]))

    check_cms_frame(algorithm(b""))
    with pytest.raises(SignatureRefused):
        check_cms_frame(algorithm(NULL))


def test_ocsp_responses_hold_nothing_else(world: Any) -> None:
    der = world.ocsp(world.signer.certificate, world.ca)
    tree = node(der)
    basic = node(tree[1][1][1][0][1][1][1])

    def written() -> bytes:
        tree[1][1][1][0][1][1] = (0x04, encoded(basic))
        return encoded(tree)

    assert written() == der
    assert len(read_ocsps([der, encoded(basic)])) == 2
    inner = (basic[1], basic[1][1][1], basic[1][3][1])
    for parts in (tree[1], tree[1][1][1], tree[1][1][1][0][1], *inner):
        parts.extend([node(NULL)] * 2)
        assert read_ocsps([written()]) == []
        with pytest.raises(ValueError, match=r"out of place|after the end|primitive"):
            check_ocsp_frame(written())
        if any(parts is item for item in inner):
            assert read_ocsps([encoded(basic)]) == []
        del parts[-2:]
    assert written() == der


@pytest.mark.parametrize(
    "octets",
    ["", "30", "3001", "1f2100", "0000", "0480", "3080", "30800000ff", "308900000000000000000000", "3082ff"],
)
def test_broken_elements(octets: str) -> None:
    data = bytes.fromhex(octets)
    with pytest.raises(ValueError, match=r"cut|tag|length|container|end"), Walk(data) as walk:
        walk.take()


def test_endless_sets_end(world: Any) -> None:
    tree = node(world.sign())
    tree[1][1][1][0][1][3][1].extend([(0x30, b"")] * 25_000)
    with pytest.raises(SignatureRefused):
        check_cms_frame(encoded(tree))


def test_deep_nesting_ends() -> None:
    with pytest.raises(ValueError, match="too deeply"):
        read_element(b"\x30\x80" * 100_000, 0, 200_000)
