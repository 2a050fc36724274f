"""How strongly images are changed."""

from __future__ import annotations

import pytest

from utils.datasets.augmentation import AugmentationOptions
from utils.errors import OptionError


def test_none_changes_nothing_and_the_defaults_move():
    assert not AugmentationOptions.none().moves
    assert AugmentationOptions.none().mosaic == 0
    assert AugmentationOptions().moves
    assert (AugmentationOptions().hsv_h, AugmentationOptions().hsv_s, AugmentationOptions().hsv_v) == (0.10, 0.5703, 0.3174)


@pytest.mark.parametrize(("option", "value", "message"), [
    ("mosaic", 1.5, "mosaic: 1.5 is no share; give a number from 0 to 1"),
    ("degrees", -1, "degrees: -1 is no amount; give 0 or more"),
    ("hsv_h", float("nan"), "hsv_h: nan is no amount; give 0 or more"),
    ("scale", 1.0, "scale: 1.0 would leave nothing of an image; give a number below 1"),
    ("shear", 90, "shear: 90 degrees turn an image into a line; give a number below 90"),
])
def test_what_makes_no_sense_is_refused(option, value, message):
    with pytest.raises(OptionError) as caught:
        AugmentationOptions(**{option: value})
    assert str(caught.value) == message
