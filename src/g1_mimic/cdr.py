"""The bytes of ROS messages: CDR (XCDR version 1), little endian, as every middleware sends them.

A message begins with four bytes of encapsulation, from behind which alignment counts; texts end
with a zero, and numbers lie at multiples of their size. Places (``at``) are counted from the very
beginning. What is missing from a message raises ``struct.error`` or ``ValueError``.
"""

from __future__ import annotations

import struct

import numpy as np

LITTLE_ENDIAN = b"\0\1"
"""What the encapsulation begins with."""
CONTENT = 4
"""Place of the content; of the header, in messages that have one."""
_SECOND = 1_000_000_000
"""In ns."""
_STAMP = struct.Struct("<iI")
_COUNT = struct.Struct("<I")

Bytes = bytes | bytearray


def aligned(at: int, size: int) -> int:
    """Return the first place from ``at`` on where something of ``size`` bytes may lie."""
    return at + (CONTENT - at) % size


def read_stamp(data: Bytes, at: int = CONTENT) -> int:
    """Return a stamp, ns; by default that of the message's header."""
    sec, nanosec = _STAMP.unpack_from(data, at)
    return int(sec) * _SECOND + int(nanosec)


def write_stamp(data: bytearray, ns: int, at: int = CONTENT) -> None:
    """Write a stamp, ns; by default that of the message's header."""
    _STAMP.pack_into(data, at, *divmod(ns, _SECOND))


def text_end(data: Bytes, at: int) -> int:
    """Return the end of the text behind ``at``, with its closing zero."""
    at = aligned(at, 4)
    return at + 4 + int(_COUNT.unpack_from(data, at)[0])


def header_end(data: Bytes) -> int:
    """Return the end of the header with which a message begins."""
    return text_end(data, CONTENT + 8)


def read_frame_id(data: Bytes, end: int) -> str:
    """Return the frame of the header that ends at ``end``."""
    return data[CONTENT + 12 : end - 1].decode()


def read_texts(data: Bytes, at: int) -> tuple[list[str], int]:
    """Return the texts of the list at ``at``, and its end."""
    (count,) = _COUNT.unpack_from(data, at)
    end, texts = at + 4, []
    for _ in range(count):
        begin = aligned(end, 4) + 4
        end = text_end(data, end)
        texts.append(data[begin : end - 1].decode())
    return texts, end


def number_lists(data: Bytes, at: int, lists: int) -> list[tuple[int, int]]:
    """Return places and lengths of the ``lists`` lists of float64 numbers behind ``at``."""
    places = []
    for _ in range(lists):
        at = aligned(at, 4)
        (count,) = _COUNT.unpack_from(data, at)
        at = aligned(at + 4, 8) if count else at + 4
        places.append((at, count))
        at += 8 * count
    return places


def numbers(data: Bytes, at: int, count: int) -> np.ndarray:
    """Return a view of the ``count`` float64 numbers behind ``at``; of a bytearray, to write."""
    return np.frombuffer(data, "<f8", count, aligned(at, 8))


class Message:
    """A message that is written from its beginning.

    Attributes:
        data: its bytes so far.
    """

    def __init__(self) -> None:
        self.data = bytearray(LITTLE_ENDIAN + b"\0\0")

    def add_count(self, count: int) -> None:
        """Append the length of a list or text."""
        self.add_room(4, 4)
        _COUNT.pack_into(self.data, len(self.data) - 4, count)

    def add_text(self, text: str) -> None:
        """Append a text."""
        encoded = text.encode() + b"\0"
        self.add_count(len(encoded))
        self.data += encoded

    def add_room(self, size: int, alignment: int) -> int:
        """Append ``size`` zeros, to be written to later, and return their place."""
        at = aligned(len(self.data), alignment)
        self.data += bytes(at - len(self.data) + size)
        return at
