"""SyncNet's numbers of a video, with weights made by rule and a detector that knows toy faces."""

from functools import cache

import numpy as np
import pytest
import torch
from golden_weights import GOLDEN
from pack.nodes.evaluate import Evaluate
from pack.vexpress.comfyui import lip_sync
from pack.vexpress.comfyui.folders import face_detector_files, syncnet_files
from pack.vexpress.comfyui.video_sound import mono
from pack.vexpress.comfyui.video_writer import Sound
from pack.vexpress.syncnet import Synchrony
from safetensors.torch import load_file
from syncnet_scene import syncnet_weights, voice
from test_evaluate import judge, track, video
from toy_scrfd import draw_faces, face_points, write_detector

FACES = [face_points(250 + 3 * i, 60 + i) for i in range(18)]


@cache
def scene() -> torch.Tensor:
    """(F, H, W, 3) 0..1 a face before grey noise, at the upper edge of the picture"""
    chance, pictures = np.random.default_rng(0), []
    for face in FACES:
        drawn, noise = draw_faces(512, 512, face), chance.integers(100, 156, (512, 512, 1), np.uint8)
        pictures.append(np.where((drawn == 128).all(-1, keepdims=True), noise, drawn))
    return torch.from_numpy(np.stack(pictures)) / 255


def sound(samples=None) -> dict:
    return {
        "waveform": torch.from_numpy(voice(1.2) / np.float32(32768))[None, None, :samples],
        "sample_rate": 16000,
    }


@pytest.fixture
def detector():
    (file,) = face_detector_files()
    write_detector(file)
    yield
    file.unlink()


@pytest.fixture
def syncnet(detector):
    (file,) = syncnet_files()
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(syncnet_weights(), file, _use_new_zipfile_serialization=False)  # as old as the real one
    yield file
    file.unlink(missing_ok=True)


def synchrony(numbers: dict) -> list[float]:
    return [numbers[name] for name in ("lips later than the voice by", "SyncNet LSE-C", "SyncNet LSE-D")]


def expected() -> list:
    offset, confidence, distance = load_file(GOLDEN / "audio" / "syncnet.safetensors")["lse"].tolist()
    return [
        pytest.approx(offset / 25),
        pytest.approx(confidence, rel=0.01),
        pytest.approx(distance, rel=0.01),
    ]


def test_a_videos_synchrony_is_golden_at_once_and_in_pieces(syncnet, monkeypatch):
    compared, add = [], Synchrony.add
    monkeypatch.setattr(Synchrony, "add", lambda self, *points: (compared.append(points), add(self, *points)))
    numbers, *_ = judge(video(scene(), audio=sound()), track(*FACES))
    assert synchrony(numbers) == expected()
    monkeypatch.setattr(lip_sync, "AT_ONCE", 5)
    judge(video(scene(), audio=sound()), track(*FACES))
    (lips, heard), *pieces = compared
    assert [len(part) for part, _ in pieces] == [5, 5, 3]
    assert torch.allclose(torch.cat([part for part, _ in pieces]), lips, rtol=1e-3, atol=1e-3)
    for first, (part, around) in zip((0, 5, 10), pieces, strict=True):
        assert torch.allclose(around, heard[first : first + len(part) + 30], rtol=1e-3, atol=1e-3)


def test_twice_the_rate_and_a_recording_in_stereo_change_little(syncnet):
    twice, faces = scene().repeat_interleave(2, 0), [face for face in FACES for _ in range(2)]
    waveform = torch.nn.functional.interpolate(sound()["waveform"], scale_factor=3, mode="linear")
    stereo = {"waveform": waveform.expand(-1, 2, -1), "sample_rate": 48000}
    numbers, *_ = judge(video(twice, 50, stereo), track(*FACES), found_kps=track(*faces, fps=50))
    assert synchrony(numbers) == [pytest.approx(n.expected, rel=0.05) for n in expected()]


def test_channels_are_mixed_as_in_a_file_of_16_bits():
    spoken = torch.from_numpy(voice(1.2) / np.float32(32768))[None]
    for channels in (spoken, spoken.expand(2, -1)):
        blocks = [part.numpy() for part in channels.split(1000, dim=1)]
        heard = mono(Sound(blocks, 16000, len(channels)), 16000, 60)
        assert heard.dtype == np.int16 and (heard == voice(1.2)).all()


def test_no_more_sound_is_read_than_is_compared():
    read = []
    blocks = (read.append(i) or np.zeros((1, 1600), np.float32) for i in range(1000))
    assert len(mono(Sound(blocks, 16000, 1), 8000, 0.95)) == 7600 and len(read) < 15


def test_the_report_says_what_was_compared(syncnet):
    pictures = scene().clone()
    pictures[5] = 0.5
    _, report, _ = judge(video(pictures, audio=sound(12000)), track(*FACES))
    assert "Lips and voice were compared for 0.7 s; in 1 of 18 frames the face was not found" in report


def test_what_is_missing_is_not_drawn_into_the_chart(detector):
    silent, _, chart = judge(video(scene()[:2], audio=None), track(*FACES[:2]))
    _, report, same = judge(video(scene()[:2], audio=sound()), track(*FACES[:2]))
    assert "There is no SyncNet yet" in report and chart.shape == same.shape


def test_found_kps_of_another_detector_are_not_mixed_with_insightfaces(syncnet):
    found = track(*FACES[:12])
    clip = video(scene()[:12], audio=sound())
    numbers, *_ = judge(clip, track(*FACES[:12]), found_kps=found, real=video(scene()[:12]))
    assert "SyncNet LSE-D" in numbers and "jerk" in numbers and "jerk of the real clip" not in numbers


def test_a_video_is_judged_anew_when_the_weights_are_there(detector, request):
    before = Evaluate.fingerprint_inputs(face="largest")
    request.getfixturevalue("syncnet")
    assert Evaluate.fingerprint_inputs(face="largest") != before


def test_without_its_weights_their_place_is_named(detector):
    numbers, report, _ = judge(video(scene()[:2], audio=sound()), track(*FACES[:2]))
    assert "Not computed: SyncNet LSE-D and LSE-C. There is no SyncNet yet: put http" in report
    assert str(syncnet_files()[0].parent) in report and "SyncNet LSE-D" not in numbers


@pytest.mark.parametrize(
    "frames, samples, said",
    [(2, None, "The video has no sound."), (5, 19200, "too short"), (12, 3000, "too short")],
)
def test_what_cannot_be_compared_is_said(syncnet, frames, samples, said):
    audio = sound(samples) if samples else None
    numbers, report, _ = judge(video(scene()[:frames], audio=audio), track(*FACES[:frames]))
    assert said in report and "SyncNet LSE-D" not in numbers and "KpsDis" in numbers


def test_a_video_without_a_face_has_no_lips(syncnet):
    numbers, report, _ = judge(video(torch.full((12, 64, 64, 3), 0.5), audio=sound()), track(*FACES))
    assert "Not computed: SyncNet LSE-D and LSE-C. No face was found." in report
    assert numbers["missed faces"] == 100


def test_without_a_detector_the_lips_are_not_found(syncnet):
    face_detector_files()[0].rename(syncnet.with_suffix(".onnx"))
    found = track(*FACES[:12])
    numbers, report, _ = judge(video(scene()[:12], audio=sound()), track(*FACES[:12]), found_kps=found)
    syncnet.with_suffix(".onnx").rename(face_detector_files()[0])
    assert (
        "Not computed: SyncNet LSE-D and LSE-C. There is no face detector yet" in report
        and "No face was found" not in report
    )
    assert "KpsDis" in numbers and "SyncNet LSE-D" not in numbers


def test_another_file_is_refused_before_the_video_is_read(syncnet):
    torch.save({"netcnnaud.0.weight": torch.zeros(3)}, syncnet)
    with pytest.raises(ValueError, match="syncnet_v2.model does not fit SyncNet"):
        judge(video(scene()[:2], audio=sound()), track(*FACES[:2]))
