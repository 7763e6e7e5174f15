import math

import pytest
import torch
from pack.vexpress.pictures import rgb


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_grey_is_spread_and_alpha_left_out(channels):
    image = torch.arange(channels).expand(2, 3, 5, channels).float()
    expected = [0.0, 0.0, 0.0] if channels < 3 else [0.0, 1.0, 2.0]
    assert rgb(image, "image")[1, 2, 4].tolist() == expected


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (1, 0, 4, 3), (1, 4, 4, 0), (4, 4, 3)])
def test_an_empty_picture_is_named_by_its_input(shape):
    with pytest.raises(ValueError, match="portrait has the shape"):
        rgb(torch.zeros(shape), "portrait")


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_named_by_its_input(odd):
    image = torch.zeros(2, 4, 4, 3)
    image[1, 2, 3, 0] = odd
    with pytest.raises(ValueError, match="portrait holds NaN or infinite numbers"):
        rgb(image, "portrait")
