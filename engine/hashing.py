"""Keyed 64-bit hashes of ids, and the partition of an account's key.

Rules of this file: a hash is never 0 (0 means absent); every hash of an id is bound to its account, so equal ids of
two accounts never meet; the partition follows Kafka's Java client, so that other people's producers agree with ours.
Theory: MurmurHash64A mixing over 8-byte words (Appleby, 2008), seeded; Kafka's ``murmur2`` for partitions.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.kernel import Int, inlined, kernel

U64 = np.uint64
HASH_SEED: Final = U64(0x9E3779B97F4A7C15)
_M: Final = U64(0xC6A4A7935BD1E995)
_R: Final = U64(47)
_MIX1: Final = U64(0xFF51AFD7ED558CCD)
_MIX2: Final = U64(0xC4CEB9FE1A85EC53)

SALT_CLICK: Final = U64(0x1001)
SALT_CONVERSION: Final = U64(0x1002)
SALT_DEAL: Final = U64(0x1003)
SALT_AD: Final = U64(0x1004)
SALT_CONTACT: Final = U64(0x1005)
SALT_KEY: Final = U64(0x1010)  # + slot of the click key
SALT_EVENT: Final = U64(0x1020)
SALT_ENTITY: Final = U64(0x1030)
SALT_REVERSES: Final = U64(0x1040)


@inlined
def mix(a: np.uint64, b: np.uint64) -> np.uint64:
    """Bind two hashes (or a hash and a salt) into one that is not 0, order mattering."""
    h = a * U64(0x9DDFEA08EB382D69) ^ (b + U64(0x9E3779B97F4A7C15))
    h ^= h >> U64(33)
    h *= _MIX1
    h ^= h >> U64(33)
    h *= _MIX2
    h ^= h >> U64(33)
    return h | U64(1) if h == U64(0) else h


@inlined
def load8(data: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Load ``data[at : at + 8]`` as one little-endian word.

    Parameters
    ----------
    data : uint8[n]
    at : uint64 (unsigned on purpose: a signed index would be wrapped byte by byte and cost eight loads, not one);
        the caller guarantees that the eight bytes lie inside ``data``.
    """
    return (
        U64(data[at])
        | U64(data[at + U64(1)]) << U64(8)
        | U64(data[at + U64(2)]) << U64(16)
        | U64(data[at + U64(3)]) << U64(24)
        | U64(data[at + U64(4)]) << U64(32)
        | U64(data[at + U64(5)]) << U64(40)
        | U64(data[at + U64(6)]) << U64(48)
        | U64(data[at + U64(7)]) << U64(56)
    )


@inlined
def absorb(h: np.uint64, word: np.uint64) -> np.uint64:
    """Take one word of a text into its hash: start from ``HASH_SEED``, end with `finish`."""
    word *= _M
    word ^= word >> _R
    word *= _M
    return (h ^ word) * _M


@inlined
def finish(h: np.uint64, rest: np.uint64, size: np.uint64) -> np.uint64:
    """End a hash with the last ``size % 8`` bytes (the others 0) and the text's size; never 0.

    The size sits in the top byte, which a rest of at most seven bytes leaves free, so that a reader who learns the
    size only at the end of the text can hash while reading.
    """
    h = absorb(h, rest | size << U64(56))
    h ^= h >> _R
    h *= _M
    h ^= h >> _R
    return U64(1) if h == U64(0) else h


@kernel
def hash_bytes(data: NDArray[np.uint8], at: Int, size: Int) -> np.uint64:
    """Hash ``data[at : at + size]``; seeded, never 0.

    Parameters
    ----------
    data : uint8[n]
    at, size : int64, the span; the caller guarantees that it lies inside ``data``.

    Returns
    -------
    uint64, not 0.
    """
    h = HASH_SEED
    i = U64(at)
    end = i + U64(size)
    while i + U64(8) <= end:
        h = absorb(h, load8(data, i))
        i += U64(8)
    rest = U64(0)
    shift = U64(0)
    while i < end:
        rest |= U64(data[i]) << shift
        shift += U64(8)
        i += U64(1)
    return finish(h, rest, U64(size))


def hash_text(text: str) -> int:
    """Hash the UTF-8 bytes of a text, as `hash_bytes` does (for configuration and look-ups, not per event)."""
    data = np.frombuffer(text.encode(), dtype=np.uint8)
    return int(hash_bytes(data, 0, data.size))


def account_hash(tenant: str, account: str) -> int:
    """The hash that scopes every id of an account."""
    return int(mix(U64(hash_text(tenant)), U64(hash_text(account))))


def id_hash(account: int, salt: Int, text: str) -> int:
    """The hash of an id in its account, as an event row carries it (``salt``: a SALT_* of this file)."""
    return int(mix(U64(mix(U64(hash_text(text)), U64(account))), U64(salt)))


def murmur2(key: bytes) -> int:
    """Kafka's Java-compatible murmur2 of a key, as a signed 32-bit integer.

    References
    ----------
    Apache Kafka, ``org.apache.kafka.common.utils.Utils.murmur2``.

    Examples
    --------
    >>> murmur2(b"21")
    -973932308
    """
    mask = 0xFFFFFFFF
    size = len(key)
    m = 0x5BD1E995
    h = (0x9747B28C ^ size) & mask
    words = size // 4
    for i in range(words):
        k = int.from_bytes(key[4 * i : 4 * i + 4], "little")
        k = k * m & mask
        k ^= k >> 24
        h = (h * m & mask) ^ (k * m & mask)
    rest = key[4 * words :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h ^= h >> 13
    h = h * m & mask
    h ^= h >> 15
    return h - (1 << 32) if h >= 1 << 31 else h


@kernel
def murmur2_bytes(data: NDArray[np.uint8], size: Int) -> np.uint64:
    """`murmur2` of ``data[:size]`` as a kernel, as an unsigned 32-bit number.

    Parameters
    ----------
    data : uint8[n]
    size : int64, at most n.
    """
    low = U64(0xFFFFFFFF)  # numba widens products of 32 bits to 64, so they are cut by hand
    m = U64(0x5BD1E995)
    h = U64(0x9747B28C) ^ U64(size)
    k = U64(0)
    for i in range(size):
        k |= U64(data[i]) << U64(8 * (i % 4))
        if i % 4 == 3:
            k = k * m & low
            k = (k ^ k >> U64(24)) * m & low
            h = (h * m & low) ^ k
            k = U64(0)
    if size % 4:
        h = (h ^ k) * m & low
    h = (h ^ h >> U64(13)) * m & low
    return h ^ h >> U64(15)


def partition(tenant: str, account: str, shards: int) -> int:
    """The shard of an account: murmur2 of ``tenant/account``, made positive, modulo ``shards``."""
    return (murmur2(f"{tenant}/{account}".encode()) & 0x7FFFFFFF) % shards
