"""Receiving a file: counted, hashed, unnamed, and gone when refused."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.errors import Refused, Unavailable
from vault.intake import IN_MEMORY, DeclaredDigest, Spool, parse_digest_headers, receive


def declared(algorithm: str, data: bytes) -> str:
    name = algorithm.replace("-", "")
    return f"{algorithm}=:{base64.b64encode(hashlib.new(name, data).digest()).decode()}:"


def refusal(call, *args, **kwargs) -> Refused:
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    return caught.value


@given(chunks=st.lists(st.binary(max_size=64), min_size=1, max_size=12).filter(any))
def test_bytes_size_and_digest_are_those_sent(tmp_path_factory, chunks):
    folder = tmp_path_factory.mktemp("spool")
    data = b"".join(chunks)
    with receive(chunks, folder=folder, limit=10_000, expected_length=len(data)) as spooled:
        assert spooled.stream.read() == data
        assert spooled.path.read_bytes() == data
        assert (spooled.size, spooled.sha256) == (len(data), hashlib.sha256(data).digest())
        more = spooled.hash_state.copy()
        more.update(b"revision")
        assert more.digest() == hashlib.sha256(data + b"revision").digest()
        assert spooled.hash_state.digest() == spooled.sha256


def test_the_spool_has_no_name_while_open(tmp_path):
    with receive([b"secret"], folder=tmp_path, limit=10) as spooled:
        assert list(tmp_path.iterdir()) == []
        assert os.fstat(spooled.stream.fileno()).st_nlink == 0
        path = spooled.path
    assert not path.exists() or path.read_bytes() != b"secret"


def test_without_tmpfile_support_the_name_is_gone_before_the_first_byte(tmp_path, monkeypatch):
    real_open = os.open

    def refuse_tmpfile(path, flags, *args, **kwargs):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse_tmpfile)
    seen: list[list[Path]] = []

    def chunks() -> Iterator[bytes]:
        seen.append(list(tmp_path.iterdir()))
        yield b"secret"

    with receive(chunks(), folder=tmp_path, limit=10) as spooled:
        assert spooled.path.read_bytes() == b"secret"
    assert seen == [[]]


def test_empty(tmp_path):
    assert refusal(receive, [b"", b""], folder=tmp_path, limit=10).code == "EMPTY_FILE"


def test_over_the_limit_is_refused_as_soon_as_passed(tmp_path):
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield bytes(100)

    error = refusal(receive, endless(), folder=tmp_path, limit=1000)
    assert (error.code, error.params) == ("TOO_LARGE", {"limit": 1000})
    assert len(taken) == 11


def test_a_declared_length_over_the_limit_reads_nothing(tmp_path):
    def never() -> Iterator[bytes]:
        pytest.fail("read")
        yield b""

    error = refusal(receive, never(), folder=tmp_path, limit=10, expected_length=11)
    assert error.code == "TOO_LARGE"


def test_exactly_the_limit_is_accepted(tmp_path):
    with receive([bytes(1000)], folder=tmp_path, limit=1000) as spooled:
        assert spooled.size == 1000


def test_truncated_leaves_nothing(tmp_path):
    error = refusal(receive, [b"abc"], folder=tmp_path, limit=10, expected_length=4)
    assert (error.code, error.params) == ("TRUNCATED", {"received": 3, "expected": 4})
    assert list(tmp_path.iterdir()) == []


def test_an_empty_cut_upload_is_truncated(tmp_path):
    assert refusal(receive, [], folder=tmp_path, limit=10, expected_length=4).code == "TRUNCATED"


def test_longer_than_announced(tmp_path):
    assert refusal(receive, [b"abcd"], folder=tmp_path, limit=9, expected_length=3).code == "LENGTH_MISMATCH"


def test_a_client_that_goes_away_leaves_nothing(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))

    def cut() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        receive(cut(), folder=tmp_path, limit=10)
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_missing_folder_is_no_fault_of_the_client(tmp_path):
    with pytest.raises(Unavailable) as caught:
        Spool(tmp_path / "absent").open()
    assert caught.value.code == "STORAGE_UNAVAILABLE"


def test_a_full_disk_is_no_fault_of_the_client():
    if not Path("/dev/full").exists():
        pytest.fail("this system has no /dev/full")

    class FullSpool(Spool):
        def open(self):
            return Path("/dev/full").open("wb")

    spool = FullSpool(Path("/"))
    for chunks, announced in (([bytes(IN_MEMORY), b"x"], None), ([bytes(10)], IN_MEMORY + 1)):
        with pytest.raises(Unavailable) as caught:
            spool.receive([*chunks, bytes(100_000)], limit=10**7, expected_length=announced)
        assert caught.value.code == "STORAGE_UNAVAILABLE"


@pytest.mark.parametrize("size", [1, IN_MEMORY - 1, IN_MEMORY, IN_MEMORY + 1, 3 * IN_MEMORY + 7])
@pytest.mark.parametrize("announced", [False, True])
def test_a_file_is_the_same_in_memory_and_on_the_volume(tmp_path, size, announced):
    content = random.Random(size).randbytes(size)
    chunks = [content[at : at + 65_521] for at in range(0, size, 65_521)]
    length = size if announced else None
    with receive(chunks, folder=tmp_path, limit=size, expected_length=length) as spooled:
        assert spooled.stream.read() == spooled.path.read_bytes() == content
        assert spooled.sha256 == hashlib.sha256(content).digest()
        on_volume = spooled.path.readlink().is_relative_to(tmp_path)
        assert on_volume == (size > IN_MEMORY)
    assert list(tmp_path.iterdir()) == []


def test_a_small_file_goes_to_the_volume_where_none_in_memory_is_allowed(tmp_path, monkeypatch):
    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", forbidden)
    with receive([b"abc"], folder=tmp_path, limit=10) as spooled:
        assert spooled.path.readlink().is_relative_to(tmp_path)
        assert spooled.path.read_bytes() == b"abc"


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_a_declared_digest_must_match(tmp_path, algorithm):
    good = parse_digest_headers(declared(algorithm, b"abc"), None)
    receive([b"a", b"bc"], folder=tmp_path, limit=10, expected_digest=good).close()
    error = refusal(receive, [b"abd"], folder=tmp_path, limit=10, expected_digest=good)
    assert (error.code, error.params) == ("DIGEST_MISMATCH", {"algorithm": algorithm})


def test_every_declared_digest_must_match(tmp_path):
    both = parse_digest_headers(declared("sha-256", b"abc"), declared("sha-256", b"abd"))
    assert both is not None
    assert len(both.values) == 2
    error = refusal(receive, [b"abc"], folder=tmp_path, limit=10, expected_digest=both)
    assert error.code == "DIGEST_MISMATCH"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "  {}",
        "md5=:AAAA:, {}",
        "{}, unixsum=30637",
        '{};q=1, x="a\\"b"',
        "x=(a b;c=1 :AA==:), {}",
        "x, {}",
        "sha-256=:AAAA:,\t{}",
    ],
)
def test_dictionaries_are_read(text):
    known = declared("sha-256", b"abc")
    digest = parse_digest_headers(text.replace("{}", known), None)
    assert digest == DeclaredDigest((("sha-256", hashlib.sha256(b"abc").digest()),))


def test_missing_padding_is_tolerated():
    text = declared("sha-256", b"abc").replace("=:", "#", 1).replace("=", "").replace("#", "=:")
    assert parse_digest_headers(None, text) is not None


@pytest.mark.parametrize("text", ["", " ", "md5=:AAAA:", "unixsum=30637, adler=:AA==:"])
def test_nothing_known_is_nothing_declared(text):
    assert parse_digest_headers(text, None) is None


@pytest.mark.parametrize(
    "text",
    [
        "sha-256",
        "sha-256=abc",
        "sha-256=:AAAA:",
        "sha-256=:****:",
        "sha-256=:" + "A" * 44,
        "SHA-256=" + declared("sha-256", b"")[8:],
        declared("sha-256", b"") + ",",
        declared("sha-256", b"") + " x",
        ", " + declared("sha-256", b""),
        "=:AAAA:",
        "é=1",
        "a=1, " * 3000 + "b=1",
        "a=((x))",
    ],
)
def test_malformed_fields_are_refused(text):
    error = refusal(parse_digest_headers, text, None)
    assert (error.code, error.params) == ("DIGEST_MALFORMED", {"field": "Repr-Digest"})


@given(st.text(max_size=200))
def test_any_header_is_read_or_refused(text):
    code = None
    try:
        parse_digest_headers(None, text)
    except Refused as error:
        code = error.code
    assert code in {None, "DIGEST_MALFORMED"}
