"""Where mouth and eyes are, told from the few points that a face detector finds."""

import torch
from torch import Tensor

# Of the five points that faces are aligned to for ArcFace (112x112 pixels: eyes 38.3, 51.7 and 73.5, 51.5, nose
# 56.0, 71.7, corners of the mouth 41.5, 92.4 and 70.7, 92.2).
MOUTH = 2.0  # on the way from between the eyes to the nose, and as far again
MOUTH_WIDTH = 0.83  # of the distance between the eyes
MOUTH_HEIGHT = 0.5  # of its width: lips that speak are open about half the time
TWICE = 2.0  # what the loss looks at is twice as large as the mouth

# In distances between the eyes, from the middle between them: brows, eyes and glasses.
ASIDE, ABOVE, BELOW = 1.0, 0.7, 0.6


def lip_boxes(points: Tensor, corners: Tensor | None = None) -> Tensor:
    """
    points:  (F, 3, 2) left eye, right eye, nose; x, y in pixels
    corners: (F, 2, 2) left and right corner of the mouth; without them it is guessed from eyes and nose, which is
             rough for a head that looks to the side
    returns: (F, 4) left, top, right, bottom of boxes twice as large as the mouth
    """
    left_eye, right_eye, nose = points.unbind(1)
    if corners is None:
        middle = torch.lerp((left_eye + right_eye) / 2, nose, MOUTH)
        across = MOUTH_WIDTH * (right_eye - left_eye)
    else:
        middle = corners.mean(1)
        across = corners[:, 1] - corners[:, 0]
    across = across.abs() / 2  # from the middle to a corner
    reach = TWICE * (across + MOUTH_HEIGHT * across.flip(-1))  # upright around a mouth that is tilted
    return torch.cat([middle - reach, middle + reach], dim=-1)


def eye_boxes(points: Tensor) -> Tensor:
    """
    points:  (…, 3, 2) left eye, right eye, nose; x, y in pixels
    returns: (…, 4) left, top, right, bottom of boxes from the brows to the cheeks
    """
    left_eye, right_eye, _ = points.unbind(-2)
    middle, apart = (left_eye + right_eye) / 2, (right_eye - left_eye).norm(dim=-1, keepdim=True)
    before, behind = apart * points.new_tensor([ASIDE, ABOVE]), apart * points.new_tensor([ASIDE, BELOW])
    return torch.cat([middle - before, middle + behind], dim=-1)
