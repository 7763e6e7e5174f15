"""Judging videos, with a detector that knows toy faces and a recogniser that knows toy people."""

import json
import sys
from dataclasses import replace
from fractions import Fraction

import av
import folder_paths
import numpy as np
import pytest
import torch
from comfy_api.internal import make_locked_method_func
from comfy_api.latest import InputImpl, Types
from pack.nodes.evaluate import Evaluate
from pack.tools.evaluate import _options, run
from pack.tools.server import ROOT, ComfyError
from pack.vexpress.comfyui.folders import face_detector_files, face_recognizer_files
from pack.vexpress.kps import Kps
from PIL import Image
from test_server import node
from toy_arcface import write_recognizer
from toy_scrfd import draw_faces, face_points, write_detector

SIZE, FPS, EYES = 512, 25, 40
FACES = [face_points(250 + 3 * t, 240) for t in range(6)]


@pytest.fixture
def insightface():
    files = [*face_detector_files(), *face_recognizer_files()]
    write_detector(files[0])
    write_recognizer(files[1])
    yield
    for file in files:
        file.unlink()


def pictures(*faces, tint: int = 0) -> torch.Tensor:
    """(F, H, W, 3) 0..1 of toy faces, or None for a frame without; the background may be tinted blue"""
    drawn = np.stack([draw_faces(SIZE, SIZE, *([] if face is None else [face])) for face in faces])
    drawn[..., 2] += np.uint8(tint) * (drawn == 128).all(-1)
    return torch.from_numpy(drawn) / 255


def video(images: torch.Tensor, fps=FPS, audio=None) -> InputImpl.VideoFromComponents:
    parts = Types.VideoComponents(images=images, frame_rate=Fraction(fps), audio=audio)
    return InputImpl.VideoFromComponents(parts)


def track(*faces, fps=FPS, size=SIZE) -> Kps:
    points = torch.from_numpy(np.stack(faces)[:, :3]) * size / SIZE
    return Kps(points, size, size, fps, "insightface")


def judge(video, kps, **inputs):
    """The node's numbers by name, its report and its chart."""
    execute = make_locked_method_func(Evaluate, "execute", Evaluate.PREPARE_CLASS_CLONE(None))
    report, chart = execute(video=video, kps=kps, face="largest", min_score=0.5, **inputs).args
    lines = report.split("\n\n")[0].splitlines()
    numbers = {name: float(value.split()[0]) for name, value in (line.split(": ") for line in lines)}
    return numbers, report, chart


def test_a_video_that_does_what_it_was_asked_for_has_no_distance(insightface):
    numbers, _, chart = judge(video(pictures(*FACES)), track(*FACES, size=640))
    assert numbers["KpsDis"] < 0.1 and numbers["missed faces"] == 0
    assert numbers["frames"] == numbers["frames asked for"] == 6
    assert numbers["fps"] == numbers["fps asked for"] == 25
    assert chart.shape[0] == 1 and chart.shape[3] == 3


def test_a_face_beside_its_place_is_as_far_away_as_it_was_moved(insightface):
    moved = [face + [6, 8] for face in FACES]
    numbers, *_ = judge(video(pictures(*moved)), track(*FACES))
    assert numbers["KpsDis"] == pytest.approx(10, abs=0.1)
    assert numbers["KpsDis of eye distance"] == pytest.approx(100 * 10 / EYES, abs=0.3)


def test_a_frame_without_a_face_is_missed_and_not_compared(insightface):
    numbers, *_ = judge(video(pictures(*FACES[:3], None, *FACES[4:])), track(*FACES))
    assert numbers["missed faces"] == pytest.approx(100 / 6, abs=0.1)
    assert numbers["KpsDis"] < 0.1


def test_a_video_at_another_rate_is_compared_by_time(insightface):
    numbers, report, _ = judge(video(pictures(*FACES[::2]), fps=FPS / 2), track(*FACES))
    assert numbers["KpsDis"] < 0.1
    assert numbers["frames asked for"] == 3 and "were compared" not in report


def test_one_frame_of_kps_stands_for_a_still_head(insightface):
    numbers, *_ = judge(video(pictures(*[FACES[0]] * 4)), track(FACES[0]))
    assert numbers["KpsDis"] < 0.1 and "frames asked for" not in numbers


def test_a_video_that_ends_early_is_compared_as_far_as_it_goes(insightface):
    numbers, report, _ = judge(video(pictures(*FACES[:4])), track(*FACES))
    assert "The video has 4 frames, and kps asks for 6 at its rate: the first 4 were compared." in report
    assert (numbers["frames"], numbers["frames asked for"]) == (4, 6)


def test_without_insightface_kps_of_any_detector_do():
    found = replace(track(*(face + [3, 4] for face in FACES)), detector="mediapipe")
    numbers, report, _ = judge(video(pictures(*FACES)), track(*FACES), found_kps=found)
    assert numbers["KpsDis"] == pytest.approx(5)
    assert "missed faces" not in numbers
    assert "kps is from insightface, the V-Kps of the video from mediapipe" in report


def test_without_any_detector_the_rest_is_measured_and_the_reason_said():
    numbers, report, _ = judge(video(pictures(*FACES)), track(*FACES))
    assert "KpsDis" not in numbers and "flicker" in numbers
    assert "Not computed: KpsDis, missed faces, jerk. There is no face detector yet" in report


def test_jerk_is_compared_with_the_real_clips_only_if_one_detector_found_both(insightface):
    asked = {"portrait": pictures(face_points(200, 200, 1.5)), "real": video(pictures(*FACES))}
    numbers, *_ = judge(video(pictures(*FACES)), track(*FACES), **asked)
    assert numbers["jerk of the real clip"] == numbers["jerk"]
    numbers, *_ = judge(video(pictures(*FACES)), track(*FACES), found_kps=track(*FACES), **asked)
    assert "jerk" in numbers and "FaceSim of the real clip" in numbers
    assert "jerk of the real clip" not in numbers


def test_without_kornia_all_but_ssim_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "kornia.metrics", None)
    numbers, report, _ = judge(
        video(pictures(*FACES)), track(*FACES), real=video(pictures(*FACES[:4], *FACES[:2]))
    )
    assert "Not computed: SSIM. SSIM needs the package kornia" in report
    assert "SSIM" not in numbers and 0 < numbers["PSNR"] < 60 and "ends before" not in report


@pytest.mark.parametrize("name", ["kps", "found_kps"])
def test_kps_of_another_picture_are_named_and_the_way_out_can_be_gone(name):
    asked = {"kps": track(*FACES), "found_kps": track(*FACES)}
    asked[name] = replace(asked[name], height=300)
    with pytest.raises(
        ValueError, match=f"^{name} of 512x300 pixels cannot .*, so take them from this very pic"
    ):
        judge(video(pictures(*FACES)), **asked)


def test_what_compares_sets_of_videos_is_named():
    _, report, _ = judge(video(pictures(*FACES)), track(*FACES))
    assert "FID and FVD compare sets of videos" in report


def test_found_kps_of_another_length_are_refused():
    with pytest.raises(ValueError, match="found_kps has 5 frames, the video more"):
        judge(video(pictures(*FACES)), track(*FACES), found_kps=track(*FACES[:5]))
    with pytest.raises(ValueError, match="found_kps has 6 frames, the video 5"):
        judge(video(pictures(*FACES[:5])), track(*FACES), found_kps=track(*FACES))


def test_a_real_clip_is_compared_picture_by_picture():
    images = pictures(*FACES)
    numbers, *_ = judge(video(images), track(*FACES), real=video(images))
    assert numbers["SSIM"] == 1 and numbers["PSNR"] == np.inf
    assert numbers["flicker of the real clip"] == numbers["flicker"]
    shuffled, *_ = judge(video(images), track(*FACES), real=video(images.flip(0)))
    assert shuffled["SSIM"] < 1 and shuffled["PSNR"] < 40


def test_a_real_clip_at_twice_the_rate_is_compared_by_time():
    images = pictures(*FACES)
    twice = images.repeat_interleave(2, dim=0)
    numbers, report, _ = judge(video(images), track(*FACES), real=video(twice, fps=2 * FPS))
    assert numbers["PSNR"] == np.inf and "ends before" not in report
    assert "flicker" in numbers and "flicker of the real clip" not in numbers
    assert "The real clip has 50 frames per second, the video 25" in report


def test_a_real_clip_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="real of 512x200 pixels cannot become 512x512"):
        judge(video(pictures(*FACES)), track(*FACES), real=video(pictures(*FACES)[:, :200]))


def test_a_real_clip_that_ends_early_is_said():
    _, report, _ = judge(video(pictures(*FACES)), track(*FACES), real=video(pictures(*FACES[:2])))
    assert "The real clip ends before the video: 2 of 6 frames were compared with it." in report


def test_the_portraits_person_is_recognised_and_another_is_not(insightface):
    portrait = pictures(face_points(200, 200, 1.5))
    same, *_ = judge(video(pictures(*FACES)), track(*FACES), portrait=portrait)
    other, *_ = judge(
        video(pictures(*FACES, tint=100)), track(*FACES), portrait=portrait, real=video(pictures(*FACES))
    )
    assert same["FaceSim"] > 0.98 > other["FaceSim"] + 0.02
    assert other["FaceSim of the real clip"] == same["FaceSim"]
    assert other["ΔFaceSim"] == pytest.approx(same["FaceSim"] - other["FaceSim"], abs=0.0011)


def test_the_same_frames_of_the_video_and_of_the_real_clip_are_compared(insightface):
    real, longer = pictures(*FACES[:2]), pictures(*FACES[2:], tint=100)
    images, portrait = torch.cat([real, longer]), pictures(face_points(200, 200, 1.5))
    numbers, *_ = judge(video(images), track(*FACES), portrait=portrait, real=video(real))
    assert numbers["FaceSim"] < numbers["FaceSim of the real clip"] - 0.01
    assert numbers["ΔFaceSim"] == 0


def test_without_the_recogniser_its_file_and_terms_are_named(insightface):
    (file,) = face_recognizer_files()
    file.rename(file.with_suffix(".hidden"))
    numbers, report, _ = judge(video(pictures(*FACES)), track(*FACES), portrait=pictures(FACES[0]))
    file.with_suffix(".hidden").rename(file)
    assert "FaceSim" not in numbers and "KpsDis" in numbers
    assert "Not computed: FaceSim. There is no face recogniser yet: unzip w600k_r50.onnx of" in report
    assert "non-commercial" in report


@pytest.mark.parametrize(
    "portrait, message", [((None,), "portrait shows no face"), (FACES[:2], "portrait holds 2 pictures")]
)
def test_what_is_no_portrait_is_refused(insightface, portrait, message):
    with pytest.raises(ValueError, match=message):
        judge(video(pictures(*FACES)), track(*FACES), portrait=pictures(*portrait))


def test_sound_is_compared_with_the_pictures():
    audio = {"waveform": torch.zeros(1, 1, 1600), "sample_rate": 16000}
    numbers, *_ = judge(video(pictures(*FACES[:5]), audio=audio), track(*FACES[:5]))
    assert numbers["sound longer than pictures by"] == pytest.approx(0.1 - 0.2)


def graph(video: str = "v-express_driving.mp4") -> dict:
    kps = dict(file="v-express_driving_kps.json", width=512, height=512, fps=30.0)
    return {
        "video": node("LoadVideo", file=video),
        "kps": node("VExpressLoadKps", **kps),
        "judged": node(
            "VExpressEvaluate",
            video=["video", 0],
            kps=["kps", 0],
            face="largest",
            min_score=0.5,
            found_kps=["kps", 0],
            real=["video", 0],
        ),
        "shown": node("PreviewAny", source=["judged", 0]),
    }


def test_the_example_is_judged_on_a_real_server(server):
    outputs = server.run(graph())
    (report,) = outputs["shown"]["text"]
    for line in ("KpsDis: 0.00 px", "SSIM: 1.0000", "frames: 120\n", "frames asked for: 120\n"):
        assert line in report
    assert outputs["judged"]["images"]


def write_sound(path):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        file.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.mark.parametrize(
    "name, message",
    [
        ("sound.mp4", "The video has no picture from 0 s to its end"),
        ("noise.mp4", "The video cannot be read"),
    ],
)
def test_a_file_that_is_no_video_is_said_in_a_sentence(server, name, message):
    write_sound(server.input / "sound.mp4")
    (server.input / "noise.mp4").write_bytes(bytes(range(256)) * 100)
    with pytest.raises(ComfyError, match=message):
        server.run(graph(name))


def test_a_folder_of_videos_is_judged_and_a_damaged_one_named(tmp_path):
    video = (ROOT / "example_inputs" / "v-express_driving.mp4").read_bytes()
    target = ROOT / "example_inputs" / "v-express_driving_kps.json"
    (tmp_path / "whole.mp4").write_bytes(video)
    (tmp_path / "whole_kps.json").write_bytes(target.read_bytes())
    (tmp_path / "damaged.mp4").write_bytes(video[:3000])
    (tmp_path / "odd.mp4").write_bytes(video)
    (tmp_path / "odd_kps.json").write_text("{}")
    (tmp_path / "real.mp4").write_bytes(video)
    run(_options([str(tmp_path), "--kps", str(target), "--real", str(tmp_path / "real.mp4")]))
    content = json.loads((tmp_path / "evaluation.json").read_text("utf-8"))
    assert "cannot be read" in content.pop("damaged.mp4")["error"]
    assert "odd_kps.json does not hold V-Kps" in content.pop("odd.mp4")["error"]
    assert content.pop("whole.mp4")["numbers"].items() >= {"KpsDis": 0, "SSIM": 1, "frames": 120}.items()
    assert not content and (tmp_path / "evaluation.html").exists() and (tmp_path / "evaluation.png").exists()


@pytest.mark.parametrize(
    "option, said",
    [("--real", "The real clip .* cannot be used: "), ("--portrait", "The portrait .* cannot")],
)
def test_what_all_videos_are_compared_with_is_checked_first(tmp_path, option, said, capsys):
    example = ROOT / "example_inputs"
    (tmp_path / "whole.mp4").write_bytes((example / "v-express_driving.mp4").read_bytes())
    (tmp_path / "damaged").write_bytes(b"nothing")
    asked = [str(tmp_path), "--kps", str(example / "v-express_driving_kps.json")]
    for name in ("damaged", "missing"):
        with pytest.raises(ValueError, match=said):
            run(_options([*asked, option, str(tmp_path / name)]))
    assert "whole.mp4 …" not in capsys.readouterr().out


def folder_and_portrait(folder, *faces) -> list[str]:
    """Arguments of dev.py evaluate for a folder with one video."""
    example = ROOT / "example_inputs"
    (folder / "whole.mp4").write_bytes((example / "v-express_driving.mp4").read_bytes())
    Image.fromarray(draw_faces(SIZE, SIZE, *faces)).save(folder / "portrait.png")
    asked = [str(folder), "--kps", str(example / "v-express_driving_kps.json")]
    return [*asked, "--portrait", str(folder / "portrait.png")]


def test_a_portrait_without_a_face_is_said_before_any_video_is_judged(insightface, tmp_path, capsys):
    with pytest.raises(ValueError, match="portrait shows no face"):
        run(_options(folder_and_portrait(tmp_path)))
    assert "whole.mp4 …" not in capsys.readouterr().out


def test_models_are_looked_for_in_the_folder_that_was_named(insightface, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_paths, "models_dir", folder_paths.models_dir)
    asked = folder_and_portrait(tmp_path, FACES[0])
    run(_options([*asked, "--models", str(tmp_path / "mine")]))
    notes = json.loads((tmp_path / "evaluation.json").read_text("utf-8"))["whole.mp4"]["notes"]
    assert any("no face detector yet: unzip" in note and str(tmp_path / "mine") in note for note in notes)


def test_a_folder_in_which_no_video_can_be_judged_is_a_failure(tmp_path):
    (tmp_path / "damaged.mp4").write_bytes(b"nothing")
    target = ROOT / "example_inputs" / "v-express_driving_kps.json"
    with pytest.raises(ValueError, match="No video in .* could be judged: the sheet says why"):
        run(_options([str(tmp_path), "--kps", str(target)]))
    assert (tmp_path / "evaluation.html").exists()


def test_a_folder_without_videos_is_said(tmp_path):
    with pytest.raises(ValueError, match="holds no video"):
        run(_options([str(tmp_path), "--kps", "any.json"]))
