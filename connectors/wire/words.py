"""Eight bytes at a time: where a string ends, what it hashes to, what a number is.

Rules of this file: an answer of position 0 means "not plain: let the slow path decide"; nothing reads past a line feed
by more than 32 bytes, so the data must be followed by that much padding; positions are uint64 (a signed index would be
wrapped on every access).
Theory: bytes of a word are compared in parallel in their top bits (Mycroft 1987; Warren, Hacker's Delight, 6-1);
eight digits become a number in three multiplications (Lemire, "Number parsing at a gigabyte per second", 2021).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.hashing import HASH_SEED, absorb, finish, load8
from engine.kernel import inlined

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
U64 = np.uint64
FAIL: Final = U64(0)
QUOTE: Final = 0x22
LINE_FEED: Final = 0x0A

# Classes of strings, by the characters they may hold.
ID_CLASS: Final = 1  # [A-Za-z0-9_.:-]
KEY_CLASS: Final = 2  # printable ASCII without space, quote and backslash
TEXT_CLASS: Final = 3  # ASCII without controls, quote, backslash and percent
PLAIN_CLASS: Final = 4  # the same with percent

_ONES: Final = U64(0x0101010101010101)
_HIGH: Final = U64(0x8080808080808080)
_LOW: Final = U64(0x7F7F7F7F7F7F7F7F)
_POWERS: Final = np.array([10**n for n in range(9)], dtype=np.uint64)


def _every(byte: int) -> np.uint64:
    return U64(byte * 0x0101010101010101)


_CASE = _every(0x20)
_FROM_A, _TO_Z = _every(0x80 - 0x61), _every(0x7F - 0x7A)
_FROM_0, _TO_COLON = _every(0x80 - 0x30), _every(0x7F - 0x3A)
_FROM_MINUS, _TO_DOT = _every(0x80 - 0x2D), _every(0x7F - 0x2E)
_UNDERSCORE, _QUOTES, _BACKSLASH, _PERCENT = _every(0x5F), _every(0x22), _every(0x5C), _every(0x25)
_FROM_SPACE, _FROM_BANG = _every(0x80 - 0x20), _every(0x80 - 0x21)
_ZEROS, _TO_9 = _every(0x30), _every(0x7F - 9)
_FEEDS = _every(LINE_FEED)
_FROM_CAPITAL_A, _TO_CAPITAL_Z = _every(0x80 - 0x41), _every(0x7F - 0x5A)


@inlined
def equal_bytes(word: np.uint64, pattern: np.uint64) -> np.uint64:
    """Top bits of the bytes of ``word`` that equal those of ``pattern``."""
    x = word ^ pattern
    return ~(((x & _LOW) + _LOW) | x) & _HIGH


@inlined
def stop_bytes(word: np.uint64, string_class: int) -> np.uint64:
    """Top bits of the bytes that a string of this class may not hold (its closing quote among them)."""
    low = word & _LOW
    if string_class == ID_CLASS:
        lower = low | _CASE
        good = (lower + _FROM_A) & ~(lower + _TO_Z)
        good |= (low + _FROM_0) & ~(low + _TO_COLON)
        good |= (low + _FROM_MINUS) & ~(low + _TO_DOT)
        good |= ~((low ^ _UNDERSCORE) + _LOW)
        return (word | ~good) & _HIGH
    bad = word | equal_bytes(word, _QUOTES) | equal_bytes(word, _BACKSLASH)
    if string_class == KEY_CLASS:
        return (bad | ~(low + _FROM_BANG) | (low + _ONES)) & _HIGH
    if string_class == TEXT_CLASS:
        bad |= equal_bytes(word, _PERCENT)
    return (bad | ~(low + _FROM_SPACE)) & _HIGH


@inlined
def bytes_below(stop: np.uint64) -> np.uint64:
    """How many bytes lie below the lowest top bit set, which must exist.

    LLVM knows this count of the bits below as one instruction, as long as no shift follows it at once; hence + 1 - 1.
    """
    x = ~stop & (stop - U64(1))
    x = x - (x >> U64(1) & U64(0x5555555555555555))
    x = (x & U64(0x3333333333333333)) + (x >> U64(2) & U64(0x3333333333333333))
    x = (x + (x >> U64(4))) & U64(0x0F0F0F0F0F0F0F0F)
    below = (x * _ONES) >> U64(56)
    return (below + U64(1) >> U64(3)) - U64(1)


@inlined
def scan_string(data: Bytes, at: np.uint64, string_class: int) -> tuple[np.uint64, np.uint64]:
    """Read a string from behind its opening quote.

    Returns
    -------
    end : uint64, position of the closing quote, or FAIL.
    hash : uint64, as `engine.hashing.hash_bytes` gives it.
    """
    h = HASH_SEED
    i = at
    word = load8(data, i)
    stop = stop_bytes(word, string_class)
    while stop == U64(0):
        h = absorb(h, word)
        i += U64(8)
        word = load8(data, i)
        stop = stop_bytes(word, string_class)
    end = i + bytes_below(stop)
    if data[end] != QUOTE:
        return FAIL, h
    return end, finish(h, word & (stop ^ (stop - U64(1))) >> U64(8), end - at)


@inlined
def scan_int(data: Bytes, at: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Read a JSON integer of 1 to 18 digits without sign.

    Returns
    -------
    end : uint64, the first position behind the digits, or FAIL.
    value : uint64.
    """
    value = U64(0)
    i = at
    digits = load8(data, i) ^ _ZEROS
    stop = (((digits & _LOW) + _TO_9) | digits) & _HIGH
    while stop == U64(0):
        value = value * U64(100_000_000) + _eight_digits(digits)
        i += U64(8)
        if i - at > U64(16):
            return FAIL, value
        digits = load8(data, i) ^ _ZEROS
        stop = (((digits & _LOW) + _TO_9) | digits) & _HIGH
    n = bytes_below(stop)
    if n > U64(0):
        value = value * _POWERS[n] + _eight_digits(digits << (U64(64) - U64(8) * n))
    size = i + n - at
    if size == U64(0) or size > U64(18) or (data[at] == 0x30 and size > U64(1)):
        return FAIL, value
    return i + n, value


@inlined
def _eight_digits(digits: np.uint64) -> np.uint64:
    pairs = (digits * U64(10) + (digits >> U64(8))) & U64(0x00FF00FF00FF00FF)
    high = (pairs & U64(0x000000FF000000FF)) * U64(0x000F424000000064)
    low = (pairs >> U64(16) & U64(0x000000FF000000FF)) * U64(0x0000271000000001)
    return (high + low) >> U64(32)


@inlined
def currency_code(data: Bytes, at: np.uint64, size: np.uint64) -> np.uint64:
    """Three capital letters as a number, little end first; 0 for anything else."""
    word = load8(data, at) & U64(0xFFFFFF)
    low = word & _LOW
    good = (low + _FROM_CAPITAL_A) & ~(low + _TO_CAPITAL_Z) & ~word & U64(0x808080)
    return word if size == U64(3) and good == U64(0x808080) else U64(0)


@inlined
def line_end(data: Bytes, at: np.uint64) -> np.uint64:
    """The position of the next line feed, which must exist."""
    i = at
    stop = equal_bytes(load8(data, i), _FEEDS)
    while stop == U64(0):
        i += U64(8)
        stop = equal_bytes(load8(data, i), _FEEDS)
    return i + bytes_below(stop)


@inlined
def line_size(data: Bytes, at: np.uint64, end: np.uint64) -> np.uint64:
    """The size of the line whose line feed is at ``end``, without one carriage return before it."""
    size = end - at
    return size - U64(1) if size > U64(0) and data[end - U64(1)] == 0x0D else size


@inlined
def is_blank(data: Bytes, at: np.uint64, end: np.uint64) -> bool:
    """Whether ``data[at:end]`` holds nothing but JSON's white space."""
    for i in range(at, end):
        if data[i] != 0x20 and data[i] != 0x09 and data[i] != 0x0D:
            return False
    return True


@inlined
def skip_space(data: Bytes, at: np.uint64) -> np.uint64:
    """The first position that is neither a space nor a tab."""
    while data[at] <= 0x20 and (data[at] == 0x20 or data[at] == 0x09):
        at += U64(1)
    return at
