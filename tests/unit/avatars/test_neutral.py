"""The picture of somebody who has none any more."""

import io

from PIL import Image

from whop_chat.avatars.fetcher import MAX_PNG_BYTES
from whop_chat.avatars.neutral import NEUTRAL_PICTURE
from whop_chat.pictures import image


def test_it_is_a_small_grey_square() -> None:
    picture = Image.open(io.BytesIO(NEUTRAL_PICTURE), formats=["PNG"])
    picture.load()

    assert (picture.size, picture.getcolors()) == ((64, 64), [(64 * 64, 0xD0)])
    assert len(NEUTRAL_PICTURE) < 200


def test_a_picture_has_one_limit_on_both_sides_of_the_call() -> None:
    assert MAX_PNG_BYTES == image.MAX_PNG_BYTES
