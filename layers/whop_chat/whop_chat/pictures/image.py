"""A picture, decoded and encoded anew, so that nothing of the file that came reaches anybody."""

import io

from PIL import Image, ImageOps

from whop_chat.pictures.errors import PictureRefused

MAX_PIXELS = 25_000_000
"""What a header may promise. Decoded, with four bytes a pixel, that is 100 MB."""
MAX_PNG_BYTES = 300 * 1024
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")

# The last always fits: 256 × 256 pixels of 4 bytes are 256 KiB before PNG packs them.
_EDGES = (512, 384, 256)


def normalised(content: bytes) -> bytes:
    """A PNG of at most 512 × 512 pixels and `MAX_PNG_BYTES`: the first frame of ``content``, without its metadata.

    The bytes decide the format, which must be one of `FORMATS`. Raises `PictureRefused`.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PictureRefused("too_many_pixels")
            return _png(_pixels(picture))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureRefused("too_many_pixels") from None
    except PictureRefused:
        raise
    except Exception:
        # Pillow's decoders raise errors of many kinds for a broken file. Its documentation lists none of them.
        raise PictureRefused("not_a_picture") from None


def _pixels(picture: Image.Image) -> Image.Image:
    """The first frame, upright, at most 512 pixels wide and high, in a picture that has nothing but pixels."""
    largest = (_EDGES[0], _EDGES[0])
    picture.draft("RGB", largest)  # a JPEG is decoded at a fraction of its size
    mode = "RGBA" if picture.has_transparency_data else "RGB"
    shown = picture.convert(mode)
    shown.thumbnail(largest)
    # The camera's orientation is in the metadata, which is dropped next.
    shown = ImageOps.exif_transpose(shown)
    return Image.frombytes(mode, shown.size, shown.tobytes())


def _png(pixels: Image.Image) -> bytes:
    for edge in _EDGES:
        pixels.thumbnail((edge, edge))
        file = io.BytesIO()
        pixels.save(file, "PNG", optimize=True)
        if file.tell() <= MAX_PNG_BYTES:
            break
    return file.getvalue()
