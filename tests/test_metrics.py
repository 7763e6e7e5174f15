import numpy as np
import pytest
from pack.vexpress.metrics import FaceSim, Flicker, Jerk, KpsDis, Likeness, PerFrame, load_ssim

EYES = 40.0
FACE = np.array([[100.0, 100.0], [100.0 + EYES, 100.0], [120.0, 130.0]])
GREY = np.full((32, 48, 3), 100, np.uint8)


def by_name(numbers) -> dict[str, float]:
    return {number.name: number.value for number in numbers}


def kps_dis(*offsets) -> dict[str, float]:
    """Of frames whose found V-Kps lie that far beside those asked for; None for a frame without a face."""
    metric = KpsDis()
    for offset in offsets:
        metric.add(FACE, None if offset is None else FACE + offset)
    return by_name([*metric.numbers(), *metric.missed.mean("missed faces")])


def test_kps_dis_is_the_mean_distance_in_pixels_and_of_the_eye_distance():
    measured = kps_dis([3, 4], [0, 0], None, [0, 10])
    assert measured["KpsDis"] == pytest.approx((5 + 0 + 10) / 3)
    assert measured["KpsDis of eye distance"] == pytest.approx(100 * 5 / EYES)
    assert measured["missed faces"] == 25


def test_kps_dis_averages_over_the_three_points():
    assert kps_dis([[3, 4], [0, 0], [0, 1]])["KpsDis"] == pytest.approx(2)


def test_p95_is_what_95_percent_of_the_frames_stay_below():
    measured = kps_dis(*([0, pixels] for pixels in range(101)))
    assert measured["KpsDis p95"] == pytest.approx(95)
    assert measured["KpsDis p95 of eye distance"] == pytest.approx(100 * 95 / EYES)


def test_a_video_without_a_face_has_no_kps_dis():
    assert kps_dis(None, None) == {"missed faces": 100}


def test_frames_beyond_the_target_are_not_compared():
    metric = KpsDis()
    metric.add(FACE, FACE + [0, 2])
    metric.add(None, FACE)
    assert by_name(metric.numbers())["KpsDis"] == pytest.approx(2)


@pytest.mark.parametrize(
    "heights, expected",
    [
        ([0, 5, 10, 15], 0),  # a steady movement
        ([0, 2, 0, 2], 4),
        ([0, 0, 3, None, 9, 9, 9], (3 + 0) / 2),  # nothing is taken across a missed face
    ],
)
def test_jerk_is_the_second_difference(heights, expected):
    jerk = Jerk()
    for height in heights:
        jerk.add(None if height is None else FACE + [0, height])
    (number,) = jerk.pixels.mean("jerk")
    assert number.value == pytest.approx(expected)


def flicker(*pictures) -> float:
    metric = Flicker()
    for picture in pictures:
        metric.add(picture)
    (number,) = metric.levels.mean("flicker")
    return number.value


def test_a_picture_that_brightens_flickers_by_as_many_levels():
    assert flicker(GREY, GREY + 3, GREY + 4) == pytest.approx(2, abs=1e-4)


def test_colours_flicker_by_their_luma():
    assert flicker(GREY, GREY + np.array([0, 10, 0], np.uint8)) == pytest.approx(5.87, abs=1e-4)


def test_what_moves_on_less_than_half_of_the_picture_is_no_flicker():
    moved = GREY.copy()
    moved[:, :23] = 255
    assert flicker(GREY, moved, GREY) == 0
    moved[:, :27] = 255
    assert flicker(GREY, moved, GREY) > 0


def likeness(*pairs) -> dict[str, float]:
    metric = Likeness(load_ssim())
    for picture, real in pairs:
        metric.add(picture, real)
    return by_name(metric.numbers())


def test_a_picture_is_like_itself():
    measured = likeness((GREY, GREY))
    assert measured["PSNR"] == np.inf
    assert measured["SSIM"] == pytest.approx(1)


def test_psnr_takes_the_error_of_all_frames():
    measured = likeness((GREY, GREY), (GREY, GREY + 10))
    assert measured["PSNR"] == pytest.approx(10 * np.log10(255**2 / 50))


def test_ssim_of_flat_pictures_is_what_the_formula_says():
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert likeness((GREY, GREY + 50))["SSIM"] == pytest.approx(expected, abs=1e-4)


def test_a_picture_is_unlike_its_negative():
    waves = (127.5 + 100 * np.sin(np.arange(48)))[None, :, None].repeat(32, 0).repeat(3, 2).astype(np.uint8)
    assert likeness((waves, 255 - waves))["SSIM"] < -0.9


def test_face_sim_is_the_cosine_whatever_the_lengths():
    metric = FaceSim(np.array([3.0, 0.0]))
    for embedding in ([5.0, 0.0], [0.0, 2.0], [-4.0, 0.0], [7.0, 7.0], None):
        metric.add(embedding and np.array(embedding))
    assert metric.cosine.values == pytest.approx([1, 0, -1, 0.5**0.5, np.nan], nan_ok=True)


def test_a_metric_without_frames_says_nothing():
    assert PerFrame().mean("anything") == [] == Likeness(load_ssim()).numbers()


def test_frame_by_frame_is_the_same_as_all_at_once():
    rng = np.random.default_rng(5)
    target, found = rng.uniform(0, 64, (2, 17, 3, 2))
    clip, real = rng.integers(0, 256, (2, 17, 24, 40, 3), dtype=np.uint8)
    kps_dis, jerk, flicker, likeness = KpsDis(), Jerk(), Flicker(), Likeness(load_ssim())
    for t in range(17):
        kps_dis.add(target[t], found[t])
        jerk.add(found[t])
        flicker.add(clip[t])
        likeness.add(clip[t], real[t])
    change = np.sort(np.abs(np.diff(clip @ [0.299, 0.587, 0.114], axis=0)).reshape(16, -1), axis=1)
    error = np.square(clip.astype(float) - real).mean()
    distances = np.linalg.norm(found - target, axis=-1).mean(1)
    measured = by_name([*kps_dis.numbers(), *likeness.numbers()])
    assert measured["KpsDis"] == pytest.approx(distances.mean())
    assert measured["KpsDis p95"] == pytest.approx(np.percentile(distances, 95))
    assert jerk.pixels.values.mean() == pytest.approx(
        np.linalg.norm(np.diff(found, 2, axis=0), axis=-1).mean()
    )
    assert flicker.levels.known.mean() == pytest.approx(change[:, :480].mean(), rel=1e-5)
    assert measured["PSNR"] == pytest.approx(10 * np.log10(255**2 / error))
