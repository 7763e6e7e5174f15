"""Cutting a face out of a picture and pasting frames back, as the nodes do it, images and videos."""

from fractions import Fraction

import av
import pytest
import torch
from comfy_api.latest import InputImpl, Types
from comfy_execution.graph_utils import ExecutionBlocker
from pack.nodes.crop import CropFace, PasteFace
from pack.tools.server import ComfyError
from pack.vexpress.comfyui.video_frames import video_frames
from pack.vexpress.kps import Kps

LEVEL = 1 / 255
POINTS = torch.tensor([[[140.0, 90.0], [162.5, 90.0], [151.25, 102.4]]])  # a square of 100 pixels


@pytest.fixture
def picture():
    """An 8-bit picture of 211 x 301 pixels, smooth as photographs are."""
    noise = torch.rand(1, 3, 8, 11, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=(211, 301), mode="bicubic").clamp(0, 1)
    return (smooth.movedim(1, -1) * 255).round() / 255


def crop(picture, size=512, points=POINTS, margin=1.0):
    height, width = picture.shape[1:3]
    return CropFace.execute(picture, Kps(points, width, height), margin, size).args


def paste(picture, placement, feather=0.1, match_colour=True, **frames):
    return PasteFace.execute(picture, placement, feather, match_colour, **frames).args


def as_video(images, rate=25, seconds=None):
    audio = None
    if seconds:
        wave = torch.sin(torch.arange(int(48000 * seconds)) * 440 * 2 * torch.pi / 48000)
        audio = {"waveform": wave[None, None] / 2, "sample_rate": 48000}
    components = Types.VideoComponents(images=images, audio=audio, frame_rate=Fraction(rate))
    return InputImpl.VideoFromComponents(components)


def as_file(video, path):
    video.save_to(str(path))
    return InputImpl.VideoFromFile(str(path))


def pictures(video):
    return torch.stack([torch.from_numpy(frame) for frame in video_frames(video)]) / 255


def test_the_crop_is_a_square_with_the_face_where_the_model_expects_it(picture):
    image, kps, placement = crop(picture, 256)
    assert image.shape == (1, 256, 256, 3)
    assert placement.side == 100
    assert (kps.width, kps.height) == (256, 256)
    eyes = kps.points[0, :2].mean(0) / 256
    torch.testing.assert_close(eyes, torch.tensor([0.504, 0.414]), atol=0.01, rtol=0)


def test_the_preview_shows_the_first_frame_of_a_track(picture):
    result = CropFace.execute(picture, Kps(POINTS.expand(7, 3, 2), 301, 211), 1.0, 64)
    assert len(result.args[1]) == 7
    assert len(result.ui["images"]) == 1 and not result.ui["text"]


def test_a_head_that_leaves_the_square_is_said(picture, caplog):
    away = torch.arange(7)[:, None, None] * torch.tensor([9.0, 0.0])
    result = CropFace.execute(picture, Kps(POINTS + away, 301, 211), 1.0, 64)
    (sentence,) = result.ui["text"]
    assert sentence.startswith("2 of 7 frames have a point outside the picture (5 to 6): ")
    assert sentence in caplog.text


def test_kps_of_another_size_are_scaled_to_the_picture(picture):
    _, _, placement = CropFace.execute(picture, Kps(POINTS * 2, 602, 422), 1.0, 512).args
    assert placement == crop(picture)[2]


def test_a_square_of_the_wanted_size_is_not_resized(picture):
    image, _, placement = crop(picture, 96, margin=0.96)
    assert placement.side == 96
    rows, columns = placement.rows, placement.columns
    assert torch.equal(image, picture[:, rows, columns])


@pytest.mark.parametrize("shape", [(1, 211, 301, 4), (1, 5, 7, 3)])
def test_transparent_and_tiny_pictures_are_cut_too(shape):
    image, _, _ = crop(torch.rand(shape), 64, torch.tensor([[[2.0, 2.0], [4.0, 2.0], [3.0, 3.0]]]), 3.0)
    assert image.shape == (1, 64, 64, 3)


@pytest.mark.parametrize(
    "shape, size, message",
    [((2, 211, 301, 3), 512, "image holds 2 pictures"), ((1, 211, 301, 3), 500, "500 pixels.*multiple of 8")],
)
def test_what_cannot_be_cut_is_refused(shape, size, message):
    with pytest.raises(ValueError, match=message):
        crop(torch.zeros(shape), size)


@pytest.mark.parametrize("match_colour", [False, True])
@pytest.mark.parametrize("feather", [0.0, 0.1, 0.5])
def test_an_unchanged_crop_goes_back_without_a_trace(picture, feather, match_colour):
    image, _, placement = crop(picture, 96, margin=0.96)
    images, _ = paste(picture, placement, feather, match_colour, images=image.expand(3, -1, -1, -1))
    assert images.shape == (3, 211, 301, 3)
    assert (images - picture).abs().max() <= LEVEL
    if not match_colour:
        assert torch.equal(images, picture.expand(3, -1, -1, -1))


def test_an_enlarged_crop_goes_back_almost_as_it_was(picture):
    image, _, placement = crop(picture, 512)
    images, _ = paste(picture, placement, images=image)
    inside = (slice(None), placement.rows, placement.columns)
    assert (images[inside] - picture[inside]).abs().max() <= 3 * LEVEL
    images[inside] = picture[inside]
    assert torch.equal(images, picture)


def test_a_tint_of_the_frames_is_taken_off_and_stays_equal_over_time(picture):
    image, _, placement = crop(picture, 96, margin=0.96)
    frames = (image * 0.8 + 0.1).repeat(4, 1, 1, 1)
    frames[2, 30:60, 30:60] = 0  # whatever the face does
    images, _ = paste(picture, placement, images=frames)
    assert (images[:2] - picture).abs().max() < 2 * LEVEL
    assert torch.equal(images[3], images[0])


def test_each_frame_may_have_its_own_picture(picture):
    image, _, placement = crop(picture, 96, margin=0.96)
    originals = torch.cat([picture, 1 - picture])
    images, _ = paste(originals, placement, 0.1, False, images=image.expand(2, -1, -1, -1))
    assert torch.equal(images[:, 0], originals[:, 0])


@pytest.mark.parametrize(
    "original, frames, message",
    [
        ((1, 200, 301, 3), 2, "original has 301x200 pixels.*cut from a picture of 301x211"),
        ((3, 211, 301, 3), 2, "original holds 3 pictures for 2 frames"),
    ],
)
def test_an_original_that_does_not_fit_is_refused(picture, original, frames, message):
    image, _, placement = crop(picture, 64)
    for given in (
        {"images": image.expand(frames, -1, -1, -1)},
        {"video": as_video(image.expand(frames, -1, -1, -1))},
    ):
        with pytest.raises(ValueError, match=message):
            paste(torch.zeros(original), placement, **given)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_one_picture_each_is_enough_where_the_sound_goes_on(picture, tmp_path, suffix):
    image, _, placement = crop(picture, 64)
    _, pasted = paste(
        picture.expand(6, -1, -1, -1), placement, video=with_long_sound(image, tmp_path, suffix)
    )
    assert len(pictures(pasted)) == 6


@pytest.mark.parametrize("count, frames", [(5, "more than 5"), (7, "6")])
def test_a_video_with_another_number_of_frames_than_pictures_is_refused(picture, tmp_path, count, frames):
    image, _, placement = crop(picture, 64)
    with pytest.raises(ValueError, match=f"original holds {count} pictures for {frames} frames"):
        paste(picture.expand(count, -1, -1, -1), placement, video=with_long_sound(image, tmp_path, "mkv"))


def with_long_sound(image, folder, suffix):
    """6 frames, and a second of silence."""
    path = folder / f"long.{suffix}"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, pix_fmt="yuv420p")
        stream.height, stream.width = image.shape[1:3]
        sound = file.add_stream("aac", rate=48000, layout="mono")
        for _ in range(6):
            frame = av.VideoFrame.from_ndarray((image[0] * 255).byte().numpy(), "rgb24")
            file.mux(stream.encode(frame))
        silence = av.AudioFrame.from_ndarray(torch.zeros(1, 48000).numpy(), "fltp", "mono")
        silence.sample_rate = 48000
        file.mux([*stream.encode(), *sound.encode(silence), *sound.encode()])
    return InputImpl.VideoFromFile(str(path))


def test_frames_that_are_no_square_are_refused(picture):
    with pytest.raises(ValueError, match="The talking frames have 64x48 pixels, but a square was cut out"):
        paste(picture, crop(picture)[2], images=torch.zeros(2, 48, 64, 3))


@pytest.mark.parametrize("both", [False, True])
def test_either_images_or_a_video_is_needed(picture, both):
    image, _, placement = crop(picture, 64)
    given = {"images": image, "video": as_video(image)} if both else {}
    with pytest.raises(ValueError, match="Either images or a video must be connected"):
        paste(picture, placement, **given)


def test_the_output_that_was_not_given_stops_what_is_connected_to_it_with_a_sentence(picture):
    image, _, placement = crop(picture, 64)
    _, video = paste(picture, placement, images=image)
    images, _ = paste(picture, placement, video=as_video(image))
    assert isinstance(video, ExecutionBlocker) and isinstance(images, ExecutionBlocker)
    assert video.message.endswith("was given images, so its output video is empty: use its output images.")
    assert images.message.endswith("was given video, so its output images is empty: use its output video.")


@pytest.mark.parametrize("file", [False, True])
def test_a_pasted_video_keeps_voice_rate_and_length(picture, tmp_path, file):
    image, _, placement = crop(picture, 96, margin=0.96)
    video = as_video(image.expand(30, -1, -1, -1), Fraction(30000, 1001), seconds=1.5)
    if file:
        video = as_file(video, tmp_path / "talking.mp4")
    _, pasted = paste(picture, placement, video=video)
    assert pasted.get_frame_rate() == video.get_frame_rate()
    assert pasted.get_dimensions() == (302, 212)  # H.264 needs even sizes
    frames = pictures(pasted)
    assert len(frames) == 30
    assert (frames[:, :211, :301] - picture).abs().mean() < 3 * LEVEL
    voice = pasted.get_components().audio["waveform"][0, 0]
    original = video.get_components().audio["waveform"][0, 0]
    heard = min(len(voice), len(original), round(30 * 1.001 / 30 * 48000)) - 1024  # AAC rings at the end
    assert (voice[:heard] - original[:heard]).abs().max() < 0.05


def test_a_trimmed_video_starts_where_it_was_trimmed_sound_and_all(picture, tmp_path):
    image, _, placement = crop(picture, 96, margin=0.96)
    wave = torch.zeros(1, 1, 48000 * 2)
    wave[..., 48000 + 4800 :] = torch.sin(torch.arange(48000 - 4800) / 10)  # silence until 1.1 s
    components = Types.VideoComponents(
        images=image.expand(50, -1, -1, -1),
        audio={"waveform": wave, "sample_rate": 48000},
        frame_rate=Fraction(25),
    )
    video = as_file(InputImpl.VideoFromComponents(components), tmp_path / "talking.mp4")
    _, pasted = paste(picture, placement, video=video.as_trimmed(1.0, 0.6))
    assert len(pictures(pasted)) == 15
    loud = pasted.get_components().audio["waveform"][0, 0].abs() > 0.1
    assert loud.nonzero()[0].item() == pytest.approx(4800, abs=200)
    assert len(loud) == pytest.approx(0.6 * 48000, abs=1920)


def test_a_video_in_memory_is_read_for_pictures_and_voice_at_once(picture, tmp_path):
    import io

    image, _, placement = crop(picture, 64)
    buffer = io.BytesIO()
    as_video(image.expand(60, -1, -1, -1), 30, seconds=2).save_to(buffer)
    _, pasted = paste(picture, placement, video=InputImpl.VideoFromFile(buffer))
    assert len(pictures(pasted)) == 60
    assert pasted.get_components().audio["waveform"].abs().max() > 0.4


def test_a_silent_video_stays_silent(picture):
    image, _, placement = crop(picture, 64)
    _, pasted = paste(picture, placement, video=as_video(image.expand(3, -1, -1, -1)))
    assert pasted.get_components().audio is None


def test_interrupting_leaves_no_file(picture, monkeypatch):
    import comfy.model_management
    import folder_paths

    image, _, placement = crop(picture, 64)
    comfy.model_management.interrupt_current_processing()
    before = set(files(folder_paths.get_temp_directory()))
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        paste(picture, placement, video=as_video(image.expand(3, -1, -1, -1)))
    assert set(files(folder_paths.get_temp_directory())) == before


def files(folder):
    import os

    return os.listdir(folder) if os.path.isdir(folder) else []


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def graph(**pasted):
    """An unmoved face cut out and put back on a server, in API format."""
    settings = {"feather": 0.1, "match_colour": True}
    return {
        "portrait": node("LoadImage", image="v-express_portrait.png"),
        "kps": node("VExpressLoadKps", file="v-express_portrait_kps.json", width=512, height=512, fps=30.0),
        "crop": node("VExpressCropFace", image=["portrait", 0], kps=["kps", 0], margin=0.8, size=128),
        "frames": node("RepeatImageBatch", image=["crop", 0], amount=5),
        "talking": node("CreateVideo", images=["frames", 0], fps=30.0),
        "paste": node(
            "VExpressPasteFace", original=["portrait", 0], placement=["crop", 2], **settings, **pasted
        ),
        "shown": node("PreviewImage", images=["paste", 0]),
        "saved": node("SaveVideo", video=["paste", 1], filename_prefix="test", format="auto", codec="auto"),
    }


def test_a_server_shows_the_crop_and_saves_the_pasted_video(server):
    prompt = graph(video=["talking", 0])
    del prompt["shown"]
    outputs = server.run(prompt)
    assert len(outputs["crop"]["images"]) == 1
    (saved,) = outputs["saved"]["images"]
    with av.open(str(server.base / "output" / saved["filename"])) as file:
        assert sum(1 for _ in file.decode(video=0)) == 5
        assert (file.streams.video[0].width, file.streams.video[0].height) == (512, 512)
        assert file.streams.video[0].codec_context.colorspace == 1  # the tag survives core's copying


def test_a_server_shows_the_pasted_images_and_says_why_there_is_no_video(server):
    prompt = graph(images=["frames", 0])
    with pytest.raises(ComfyError, match="was given images, so its output video is empty"):
        server.run(prompt)
    del prompt["saved"]
    assert len(server.run(prompt)["shown"]["images"]) == 5
