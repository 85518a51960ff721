"""What is left of a file that somebody calls a picture."""

import contextlib
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from whop_chat.pictures.errors import PictureRefused
from whop_chat.pictures.image import MAX_PIXELS, MAX_PNG_BYTES, normalised

SECRET = b"where I live"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(format_: str, picture: Image.Image | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    (picture or Image.new("RGB", (40, 20), RED)).save(file, format_, **options)
    return file.getvalue()


def decoded(png: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(png), formats=["PNG"])
    picture.load()
    return picture


def refusal(content: bytes) -> str:
    with pytest.raises(PictureRefused) as refused:
        normalised(content)
    return refused.value.reason


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def noise(mode: str, edge: int) -> Image.Image:
    """Pixels that nothing can pack: a counter through a hash."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    state, out = 1, bytearray()
    while len(out) < edge * edge * bands:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out += state.to_bytes(8, "big")[:4]
    return Image.frombytes(mode, (edge, edge), bytes(out[: edge * edge * bands]))


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "WEBP"])
def test_each_format_becomes_a_png_of_the_same_picture(format_: str) -> None:
    picture = decoded(normalised(encoded(format_)))

    assert (picture.size, picture.mode) == ((40, 20), "RGB")
    red, green, blue = picture.getpixel((20, 10))  # type: ignore[misc]
    assert (red > 240, green < 15, blue < 15) == (True, True, True)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"])
def test_each_kind_of_pixel_is_understood(mode: str) -> None:
    format_ = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    assert decoded(normalised(encoded(format_, Image.new(mode, (8, 8))))).size == (8, 8)


def test_transparency_stays() -> None:
    assert decoded(normalised(encoded("PNG", Image.new("RGBA", (8, 8), (1, 2, 3, 4))))).getpixel((0, 0)) == (1, 2, 3, 4)


@pytest.mark.parametrize(("size", "expected"), [((3000, 1500), (512, 256)), ((100, 2048), (25, 512)), ((1, 1), (1, 1))])
def test_a_larger_picture_is_made_to_fit_and_a_smaller_one_stays(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert decoded(normalised(encoded("JPEG", Image.new("RGB", size)))).size == expected


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_what_does_not_pack_is_made_smaller_until_it_fits(mode: str) -> None:
    result = normalised(encoded("PNG", noise(mode, 512)))

    assert len(result) <= MAX_PNG_BYTES
    assert decoded(result).size in {(384, 384), (256, 256)}


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_only_the_first_frame_is_shown(format_: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    picture = decoded(normalised(encoded(format_, frames[0], save_all=True, append_images=frames[1:], lossless=True)))

    assert picture.getpixel((4, 4)) == RED
    assert getattr(picture, "n_frames", 1) == 1


def test_a_photograph_is_upright_and_its_metadata_gone() -> None:
    photograph = Image.new("RGB", (40, 20), BLUE)
    photograph.paste(RED, (0, 0, 20, 20))
    exif = photograph.getexif()
    exif[0x0112] = 6  # to be turned a quarter to the right
    exif[0x010E] = SECRET.decode()
    result = normalised(encoded("JPEG", photograph, exif=exif, comment=SECRET, icc_profile=SECRET, quality=95))

    picture = decoded(result)
    assert picture.size == (20, 40)
    top: Any = picture.getpixel((10, 5))
    assert top[0] > 200 > 50 > top[2]
    assert SECRET not in result
    assert (dict(picture.getexif()), set(picture.info)) == ({}, set())


def test_text_and_profiles_of_a_png_are_gone() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET.decode())
    text.add_itxt("Location", SECRET.decode(), zip=True)
    result = normalised(encoded("PNG", pnginfo=text, icc_profile=SECRET))

    assert SECRET not in result
    assert set(decoded(result).info) == set()


@pytest.mark.parametrize("more", [b"<script>alert(1)</script>", b"PK\x03\x04" + SECRET, b"%PDF-1.7" + SECRET])
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "WEBP"])
def test_of_a_file_of_two_kinds_only_the_pixels_are_left(format_: str, more: bytes) -> None:
    assert more not in normalised(encoded(format_) + more)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><svg>&a;</svg>",
        b"<html><img src='a.png'></html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
        b"%PDF-1.7\n",
        b"push graphic-context\nviewbox 0 0 1 1\nimage over 0,0 0,0 'https://other.example/'\npop graphic-context",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"\xff\xd8\xff",
    ],
    ids=["nothing", "zeros", "svg", "svg entity", "html", "eps", "pdf", "mvg", "png", "gif", "webp", "jpeg"],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    assert refusal(content) == "not_a_picture"


@pytest.mark.parametrize("format_", ["BMP", "TIFF", "ICO", "PPM", "TGA", "PCX", "EPS", "PDF", "JPEG2000", "AVIF"])
def test_a_picture_of_another_format_is_refused(format_: str) -> None:
    if format_ not in Image.SAVE:
        Image.init()
    if format_ not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {format_}")
    assert refusal(encoded(format_)) == "not_a_picture"


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_file_that_breaks_off_is_refused(format_: str) -> None:
    whole = encoded(format_, noise("RGB", 64))
    for end in range(1, len(whole) // 2, max(1, len(whole) // 40)):
        assert refusal(whole[:end]) == "not_a_picture"


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "WEBP"])
def test_a_broken_byte_is_refused_or_harmless(format_: str) -> None:
    whole = bytearray(encoded(format_, noise("RGB", 32)))
    for position in range(0, len(whole), max(1, len(whole) // 200)):
        broken = whole.copy()
        broken[position] ^= 0xFF
        with contextlib.suppress(PictureRefused):
            assert len(normalised(bytes(broken))) <= MAX_PNG_BYTES


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (MAX_PIXELS + 1, 1), (2**31 - 1, 2**31 - 1)])
def test_a_header_that_promises_too_many_pixels_is_refused_before_they_are_made(width: int, height: int) -> None:
    assert refusal(png(width, height, chunk(b"IDAT", zlib.compress(b"")))) == "too_many_pixels"


def test_pixels_that_are_fewer_than_promised_are_refused() -> None:
    assert refusal(png(4000, 4000, chunk(b"IDAT", zlib.compress(bytes(100))))) == "not_a_picture"


def test_text_that_unpacks_to_a_hundred_megabytes_is_refused() -> None:
    bomb = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(bytes(100_000_000)))
    assert refusal(png(8, 8, bomb, chunk(b"IDAT", zlib.compress(bytes(8 * 25))))) == "not_a_picture"


def test_a_canvas_of_a_gif_that_is_too_large_is_refused() -> None:
    gif = bytearray(encoded("GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    assert refusal(bytes(gif)) == "too_many_pixels"
