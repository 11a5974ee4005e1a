"""Share codes and second secrets: drawn at random, easy to type and to say, told apart from typing mistakes.

A code is 19 random characters of Crockford's base 32 (95 bits) and one check character; a second secret is 8 random
ones (40 bits). The check character makes the whole code a word of a linear code over GF(32): every wrong character and
every swap of two characters is noticed, wherever they stand, so that a page can say "mistyped" without asking anybody.
"""

from __future__ import annotations

import secrets
import unicodedata

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 20
SECRET_LENGTH = 8
CODE_BITS = 5 * (CODE_LENGTH - 1)
SECRET_BITS = 5 * SECRET_LENGTH
_GROUP = 4
_LONGEST = 128
_MODULUS = 0b100101  # x^5 + x^2 + 1 over GF(2), primitive
# Letters that the alphabet leaves out because they look like others, and separators that people write.
_SAME = str.maketrans("OILU", "011V", " \t\u00a0\u202f-\u2010\u2011\u2012\u2013\u2014_./")


def draw_code() -> str:
    """Draw a share code: 20 characters, without groups."""
    digits = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH - 1))
    return digits + check_character(digits)


def draw_secret() -> str:
    """Draw a second secret: 8 characters, without groups."""
    return "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))


def grouped(text: str) -> str:
    """Write a code or secret in groups of four, for people."""
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def read_code(text: str) -> str:
    """Return a code as it was drawn, or "" for what cannot be one: length, characters or check are wrong."""
    code = _plain(text, CODE_LENGTH)
    return code if code and check_character(code[:-1]) == code[-1] else ""


def read_secret(text: str) -> str:
    """Return a second secret as it was drawn, or "" for what cannot be one."""
    return _plain(text, SECRET_LENGTH)


def check_character(digits: str) -> str:
    """Return the check character of a code: the sum over GF(32) of its characters, each times a power of x."""
    total = 0
    for digit in reversed(digits):
        total = _times_x(total ^ ALPHABET.index(digit))
    return ALPHABET[total]


def _times_x(value: int) -> int:
    value <<= 1
    return value ^ _MODULUS if value & 32 else value


def _plain(text: str, length: int) -> str:
    if len(text) > _LONGEST:
        return ""
    plain = unicodedata.normalize("NFKC", text).upper().translate(_SAME)
    return plain if len(plain) == length and set(plain) <= set(ALPHABET) else ""
