"""The picture of somebody who has none any more."""

import struct
import zlib

_EDGE = 64
_GREY = 0xD0


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# PNG, third edition, sections 5 and 11: one byte of grey a pixel, and each line begins with its filter.
NEUTRAL_PICTURE = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", _EDGE, _EDGE, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress((b"\x00" + bytes([_GREY]) * _EDGE) * _EDGE, 9))
    + _chunk(b"IEND", b"")
)
"""A grey square, as a PNG. Whop's pages do not say how to take a picture back, so this one replaces it."""
