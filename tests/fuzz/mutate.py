"""Damage: what happens to the bytes of a good file."""

from __future__ import annotations

import random

__all__ = ["damaged"]

EDGES = (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\n", b" ", b'"', b"[", b"{", b"9", b"-")
NUMBERS = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
TOKENS = (
    b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"1e-400", b"9" * 20, b"9" * 5000, b"0x" + b"f" * 4000, b"true", b"null",
    b"[" * 2000, b'{"a":' * 500, b"[]", b"{}", b'""', b"\xef\xbb\xbf", b"\xff\xfe", b"\xe9", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\r",
    b"\\u0000", b"\\ud800", b"1970-01-01", b"0.5", b"1.5", b"'", b"=", b"a.b.c", b"~/", b"../", b"%s%n", b"A" * 3000,
)  # fmt: skip


def damaged(seeds: list[bytes], rng: random.Random) -> bytes:
    """One of ``seeds`` with one to four things done to it."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(WAYS)(data, seeds, rng)
    return bytes(data)


def _span(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 8, 30, len(data))))


def _flip(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _edge(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    start = rng.randrange(len(data) + 1)
    data[start : start + 1] = rng.choice(EDGES)
    return data


def _number(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    size = rng.choice((2, 4, 8))
    start = rng.randrange(len(data) + 1)
    value = rng.choice(NUMBERS) % 256**size
    data[start : start + size] = value.to_bytes(size, rng.choice(("big", "little")))
    return data


def _token(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    start, stop = _span(data, rng)
    data[start : rng.choice((start, stop))] = rng.choice(TOKENS)
    return data


def _value(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    """Another token in the place of a word: what stands between two of the bytes that separate words."""
    ends = [0, *(i + 1 for i, byte in enumerate(data) if byte in b' ,:=[]{}"\n-')]
    start = rng.choice(ends)
    stop = next((i for i in range(start, len(data)) if data[i] in b' ,:=[]{}"\n-'), len(data))
    data[start:stop] = rng.choice(TOKENS)
    return data


def _cut(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    start, stop = _span(data, rng)
    del data[start:stop]
    return data


def _end(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _again(data: bytearray, _: list[bytes], rng: random.Random) -> bytearray:
    start, stop = _span(data, rng)
    data[start:start] = data[start:stop] * rng.choice((1, 2, 50))
    return data[:200_000]


def _splice(data: bytearray, seeds: list[bytes], rng: random.Random) -> bytearray:
    start, stop = _span(data, rng)
    other = rng.choice(seeds)
    at = rng.randrange(len(other) + 1)
    data[start:stop] = other[at : at + rng.choice((1, 8, 40, len(other)))]
    return data


WAYS = (_flip, _flip, _edge, _number, _number, _token, _value, _cut, _end, _again, _splice)
