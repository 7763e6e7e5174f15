import numpy as np
import pytest
from pack.vexpress.detection import (
    LEFT_EYE,
    RIGHT_EYE,
    Face,
    FaceChoice,
    Picture,
    Selection,
    face_of_landmarks,
    follow_face,
)

LARGEST, CENTRAL, LEFTMOST, NEAREST = FaceChoice
PICTURE = Picture(200, 100)


def face(x, y=50, size=20):
    """With its left eye, which tells faces apart here, in the middle of its box."""
    centre = np.array([x, y], dtype=np.float32)
    points = centre + np.array([[0, 0], [5, 0], [2, 4]], dtype=np.float32)
    return Face(points, np.concatenate([centre - size / 2, centre + size / 2]))


def left_eyes(frames, choice=LARGEST, index=0, max_gap=0):
    followed = follow_face(frames, Selection(choice, index, max_gap), PICTURE, 30.0, "mediapipe")
    return followed.kps.points[:, 0, 0].tolist()


def frames_at(*positions):
    """One frame for each x of the only face; None for no face."""
    return [[] if x is None else [face(x)] for x in positions]


@pytest.mark.parametrize(
    "choice, index, expected",
    [(LARGEST, 0, 150), (CENTRAL, 0, 90), (LEFTMOST, 0, 30), (LEFTMOST, 1, 90), (NEAREST, 0, 150)],
)
def test_one_of_three_faces_is_chosen(choice, index, expected):
    faces = [face(90, size=20), face(150, size=40), face(30, size=10)]
    assert left_eyes([faces], choice, index) == [expected]


def test_central_counts_height_as_well():
    assert left_eyes([[face(100, y=10), face(120, y=50)]], CENTRAL) == [120]


@pytest.mark.parametrize("choice, expected", [(NEAREST, [40, 45, 50]), (LARGEST, [40, 160, 160])])
def test_nearest_stays_with_the_first_face_when_another_grows(choice, expected):
    frames = [[face(first, size=20), face(160, size=size)] for first, size in [(40, 10), (45, 30), (50, 50)]]
    assert left_eyes(frames, choice) == expected


def test_nearest_keeps_apart_two_faces_that_come_in_another_order():
    frames = [[face(40, size=30), face(100)], [face(104), face(44)], [face(48), face(108)]]
    assert left_eyes(frames, NEAREST) == [40, 44, 48]


def test_nearest_takes_nobody_else_while_its_face_is_hidden():
    frames = [[face(40, size=30), face(100)], [face(100)], [face(100), face(60)]]
    assert left_eyes(frames, NEAREST, max_gap=1) == [40, 50, 60]


def test_a_face_that_far_from_the_left_may_be_missing_for_a_while():
    frames = [[face(20), face(60)], [face(20)], [face(20), face(70)]]
    assert left_eyes(frames, LEFTMOST, index=1, max_gap=1) == [60, 65, 70]


@pytest.mark.parametrize(
    "positions, expected",
    [
        ([10, 20, 30], [10, 20, 30]),
        ([10, None, None, 40], [10, 20, 30, 40]),
        ([None, 20, 30], [20, 20, 30]),
        ([10, 20, None, None], [10, 20, 20, 20]),
        ([None, 20, None, 60, None], [20, 20, 40, 60, 60]),
    ],
)
def test_gaps_are_interpolated_and_held_at_the_ends(positions, expected):
    assert left_eyes(frames_at(*positions), max_gap=2) == expected


@pytest.mark.parametrize(
    "positions, message",
    [
        ([10, None, None, None, 50], "missing from frame 1 to frame 3: 3 in a row, while max_gap lets 2"),
        ([None, None, None, 50], "missing from frame 0 to frame 2"),
        ([10, None, 30, None, None, None], "missing from frame 3 to frame 5"),
        ([None, None], "No face was found in any of the 2 frames: in Detect Face Landmarks set"),
    ],
)
def test_a_longer_gap_is_an_error_that_names_its_frames(positions, message):
    with pytest.raises(ValueError, match=message):
        left_eyes(frames_at(*positions), max_gap=2)


@pytest.mark.parametrize("faces, most", [([face(30)], "1 face"), ([face(30), face(90)], "2 faces")])
def test_an_index_beyond_all_faces_is_said_with_how_many_there_are(faces, most):
    with pytest.raises(
        ValueError, match=f"index is 2, counted from 0, but no frame shows more than {most}: "
    ):
        left_eyes([[], faces], LEFTMOST, index=2, max_gap=2)


def test_a_gap_is_reported_with_its_first_frame():
    followed = follow_face(frames_at(10, None, 30, None), Selection(max_gap=2), PICTURE, 25.0, "toy")
    assert followed.filled.tolist() == [False, True, False, True]
    assert followed.notes[0].startswith("2 of 4 frames do not show the face, the first is frame 1;")


def test_there_is_nothing_to_report_when_every_frame_shows_the_face():
    assert follow_face(frames_at(10, 20), Selection(), PICTURE, 25.0, "toy").notes == []


def test_kps_carry_the_picture_the_rate_and_the_detector():
    kps = follow_face(frames_at(10, 20), Selection(), PICTURE, 25.0, "toy").kps
    assert (kps.width, kps.height, kps.fps, kps.detector) == (200, 100, 25.0, "toy")
    assert kps.points[1].tolist() == [[20, 50], [25, 50], [22, 54]]


def test_landmarks_give_the_middle_of_each_eye_and_the_tip_of_the_nose():
    mesh = np.full((478, 2), 1000.0, dtype=np.float32)  # where no point of a V-Kps may come from
    mesh[LEFT_EYE] = [[30 + i, 40] for i in range(16)]
    mesh[RIGHT_EYE] = [[80, 40 + i] for i in range(16)]
    mesh[4] = [60, 70]
    found = face_of_landmarks({"landmarks_xy": mesh, "bbox_xyxy": np.array([20.0, 10.0, 90.0, 100.0])})
    assert found.points.tolist() == [[37.5, 40], [80, 47.5], [60, 70]]
    assert found.box.tolist() == [20, 10, 90, 100]
