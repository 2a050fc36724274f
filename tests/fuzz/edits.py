"""Small damages to a file: what a broken download, a wrong editor, a careless hand or a hostile one leaves behind.

Every edit is a function of (random numbers, bytes, other inputs of the same kind) to bytes. `damaged` applies a few.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Edit = Callable[[Random, bytes, Sequence[bytes]], bytes]

EXTREMES = (
    b"0", b"-0", b"1", b"-1", b"2", b"255", b"65536", b"2147483647", b"2147483648", b"-2147483648", b"-2147483649",
    b"4294967295", b"9223372036854775808", b"9" * 30, b"9" * 5000, b"1e308", b"1e309", b"-1e308", b"1e-320", b"1e38",
    b"3.5e38", b"0.5", b"1e9", b"1e99999", b"nan", b"NaN", b"-inf", b"Infinity", b"", b" ", b"0x10", b"1_000", b"+7",
    b"1,1", b",", b"1.", b".5", b".", b"-", b"1e", "٣".encode(), "Ⅷ".encode(), b"\xb2", b"None", b"true",
)
PIECES = (
    b"\0", b"\n", b"\r", b"\r\n", b"\n\n", b"\t", b"\x0b", b"\x0c", b"\x1a", b"\x85", b"\xa0", b"\xff", b"\xc3",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", "\u2028".encode(), "é".encode(), "名".encode(), "😀".encode(),
    "\u202e".encode(), b"[", b"]", b"[net]", b"[]", b"[convolutional]", b"=", b"==", b"#", b";", b",", b"{", b"}", b'"',
    b"\\", b"\\u0000", b"\\ud800", b"/", b"//", b"..", b"~", b"*", b"%s", b"%n", b"{0}", b"$(true)", b"&amp;", b"&x;",
    b"<", b">", b"<!--", b"]]>", b"-", b"_", b" ", b"'", b"null", b"/dev/null", b"/", b"a" * 300, b"[" * 3000,
    b"(" * 200, b"<a>" * 2000,
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 2**31, -2**31, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "0",
    "nan", "\0", "a\nb", "../x", "/", "\ud800", "名", "x" * 300, [], {}, [[]], [None], {"": None}, [0] * 300,
)
_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_]{2,}")


def damaged(rng: Random, data: bytes, edits: Sequence[Edit], others: Sequence[bytes]) -> bytes:
    """`data` after one to six of these edits; one is the most frequent."""
    for _ in range(rng.choice((1, 1, 1, 1, 2, 2, 3, 6))):
        data = rng.choice(edits)(rng, data, others)
    return data


def _place(rng: Random, data: bytes) -> int:
    return rng.randint(0, len(data))


def flip_bits(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to eight bytes become others."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8) if data else 0):
        changed[rng.randrange(len(changed))] ^= rng.choice((1, 2, 4, 8, 16, 32, 64, 128, 255))
    return bytes(changed)


def truncate(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The end is missing, or the beginning."""
    place = _place(rng, data)
    return data[:place] if rng.random() < 0.8 else data[place:]


def cut_out(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Some bytes in between are missing."""
    place = _place(rng, data)
    return data[:place] + data[place + rng.choice((1, 2, 4, 16, 100)):]


def insert_piece(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Something is there that should not be."""
    place = _place(rng, data)
    return data[:place] + rng.choice(PIECES) * rng.choice((1, 1, 1, 2, 50)) + data[place:]


def repeat(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A part stands there twice, or very often."""
    start = _place(rng, data)
    part = data[start:start + rng.choice((1, 4, 20, 200))]
    return data[:start] + part * rng.choice((2, 2, 10, 100)) + data[start + len(part):]


def splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The beginning of this and the end of another."""
    other = rng.choice(others)
    return data[:_place(rng, data)] + other[_place(rng, other):]


def _with_lines(change: Callable[[Random, list[bytes]], None]) -> Edit:
    def edit(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
        lines = data.splitlines(keepends=True)
        if lines:
            change(rng, lines)
        return b"".join(lines)

    edit.__name__ = change.__name__.strip("_")
    return edit


def _delete_line(rng: Random, lines: list[bytes]) -> None:
    start = rng.randrange(len(lines))
    del lines[start:start + rng.choice((1, 1, 1, 2, 5, 9))]


def _double_line(rng: Random, lines: list[bytes]) -> None:
    start = rng.randrange(len(lines))
    lines[start:start] = lines[start:start + rng.choice((1, 1, 2, 5, 9, 12))]


def _swap_lines(rng: Random, lines: list[bytes]) -> None:
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def replace_number(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One number becomes an extreme one, one that stands elsewhere, or its neighbour."""
    found = [*_NUMBER.finditer(data)]
    if not found:
        return data
    match = rng.choice(found)
    kind = rng.random()
    if kind < 0.5:
        new = rng.choice(EXTREMES)
    elif kind < 0.75:
        new = rng.choice(found)[0]
    else:
        digits = match[0].split(b".")[0].split(b"e")[0].split(b"E")[0]
        new = str(int(digits[:30]) + rng.choice((-2, -1, 1, 2))).encode()
    return data[:match.start()] + new + data[match.end():]


def replace_word(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A name becomes another that stands in a file of this kind, or one that nobody knows."""
    found = [*_WORD.finditer(data)]
    pool = _WORD.findall(rng.choice(others)) if rng.random() < 0.8 else []
    if not found:
        return data
    match = rng.choice(found)
    return data[:match.start()] + (rng.choice(pool) if pool else match[0][::-1]) + data[match.end():]


def replace_words(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A name becomes another everywhere."""
    found = _WORD.findall(data)
    return data.replace(rng.choice(found), rng.choice(found)) if found else data


def other_encoding(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """As other systems and editors save it."""
    text = data.decode("utf-8", errors="replace")
    return rng.choice((
        lambda: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), lambda: data.replace(b"\n", b"\r"),
        lambda: b"\xef\xbb\xbf" + data, lambda: text.encode("utf-16"), lambda: text.encode("utf-16-le"),
        lambda: text.encode("utf-32"), lambda: data.replace(b" ", b"\xc2\xa0"), lambda: data.replace(b"=", b" = "),
        lambda: data.upper(), lambda: data.replace(b"\n", b""), lambda: b"",
    ))()


def change_json(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One value of a JSON text becomes another, goes, or appears elsewhere; still JSON, as Python writes it."""
    try:
        root = json.loads(data)
    except (ValueError, RecursionError):
        return data
    return json.dumps(change_value(rng, root)).encode()


def change_value(rng: Random, root: Any) -> Any:
    """A nest of lists and dictionaries in which one place has another value, or none."""
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in [*items][:40]:
            places.append((value, key))
            walk(inner)

    walk(root)
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.6:
        holder[key] = rng.choice(VALUES)
    elif kind < 0.75:
        del holder[key]
    elif kind < 0.9:
        donor, other = rng.choice(places)
        if (isinstance(donor, dict) and other in donor) or (isinstance(donor, list) and other < len(donor)):
            holder[key] = json.loads(json.dumps(donor[other]))
    elif isinstance(holder, dict):
        holder[str(rng.choice(VALUES))] = holder[key]
    else:
        holder.insert(key, rng.choice(VALUES))
    return root


def change_integers(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One of the first five 32-bit integers (the header of a .weights file) becomes an extreme one."""
    place = 4 * rng.randrange(5)
    value = rng.choice((0, 1, 2, 10, 999, 1001, 2**31 - 1, 2**31, 2**32 - 1, rng.getrandbits(32)))
    return data[:place] + value.to_bytes(4, "little") + data[place + 4:]


def change_floats(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A few aligned 32-bit numbers become nan, infinite, huge, tiny or zero."""
    changed = bytearray(data)
    value = rng.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xff", b"\xff\xff\x7f\x7f", b"\xff\xff\x7f\xff",
                        b"\1\0\0\0", b"\0\0\0\0", b"\0\0\0\x80", b"\xff\xff\xff\xff"))
    for _ in range(rng.choice((1, 1, 5, 1000))):
        place = 4 * rng.randrange(len(data) // 4 + 1)
        changed[place:place + 4] = value
    return bytes(changed)


def resize(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """So many numbers more, or less."""
    change = rng.choice((-400, -8, -4, -3, -1, 1, 3, 4, 8, 400))
    return data[:change] if change < 0 else data + bytes(change)


def change_member(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A damaged file within a zip archive whose checksums are right: what a .pt file holds."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, KeyError, NotImplementedError, RuntimeError, EOFError):
        return data
    if not members:
        return data
    pickles = [name for name in members if name.endswith(".pkl")]
    name = rng.choice(pickles if pickles and rng.random() < 0.7 else [*members])
    if rng.random() < 0.1:
        del members[name]
    else:
        members[name] = rng.choice(BYTES)(rng, members[name], [*members.values()])
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return result.getvalue()


BYTES: tuple[Edit, ...] = (flip_bits, truncate, cut_out, insert_piece, repeat, splice)
LINES: tuple[Edit, ...] = tuple(map(_with_lines, (_delete_line, _double_line, _swap_lines)))
TEXT: tuple[Edit, ...] = (*BYTES, *LINES, *LINES, *(replace_number,) * 4, *(replace_word,) * 2, replace_words, other_encoding)
EDITS: Mapping[str, tuple[Edit, ...]] = {
    "text": TEXT,
    "json": (*TEXT, *(change_json,) * len(TEXT)),
    "weights": (*BYTES, *(change_integers,) * 3, *(change_floats,) * 3, *(resize,) * 3),
    "archive": (*BYTES, *(change_member,) * 6),
    "bytes": BYTES,
}
