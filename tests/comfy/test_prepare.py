"""From videos to what training reads, with the real readers, encoders and detector on drawn people and toy faces."""

import csv
import resource
import subprocess
import sys
import weakref
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import folder_paths
import numpy as np
import pytest
import torch
from pack.tools.prepare import _options, load_models, run
from pack.tools.tiny_models import AUDIO_ENCODER, VAE, write_tiny_models
from pack.vexpress.comfyui.video_frames import video_frames
from pack.vexpress.comfyui.video_sound import video_sound
from pack.vexpress.comfyui.video_writer import Sound, write_video
from pack.vexpress.crop import EYE_DISTANCE
from pack.vexpress.kps_files import save_kps
from pack.vexpress.training.clips import ClipFolder
from pack.vexpress.training.config import TrainingConfig
from pack.vexpress.training.lists import Clip, Span
from pack.vexpress.training.networks import load_networks
from pack.vexpress.training.pieces import pieces
from pack.vexpress.training.prepare import BATCH, Models, Settings, prepare
from pack.vexpress.training.prepared import Prepared
from pack.vexpress.training.speech import babble
from pack.vexpress.training.stages import begin
from pack.vexpress.training.synthetic import clip
from pack.vexpress.training.trainer import Trainer
from random_clips import quiet
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from toy_scrfd import draw_faces, face_points, write_detector

ROOT = Path(__file__).parents[2]
SIZE, FPS, FRAMES = 64, 25, 24
FACE = face_points(200, 150)
FAR = face_points(400, 150)  # no window of the detector sees parts of both


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Laid out as ComfyUI's models/, with a detector that knows toy faces."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_models(folder)
    write_detector(folder / "insightface" / "models" / "buffalo_l" / "det_10g.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_paths, "models_dir", folder_paths.models_dir)
        yield folder


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


def voice_of(seconds: float) -> torch.Tensor:
    return babble(0, seconds)


def film(path: Path, pictures, fps: int = FPS, voice: torch.Tensor | None = None) -> None:
    """pictures: F times (H, W, 3) RGB uint8"""
    sound = None if voice is None else Sound([voice[None].numpy()], 16000, 1)
    with write_video(path, Fraction(fps), sound) as writer:
        for picture in pictures:
            writer.write(torch.from_numpy(np.ascontiguousarray(picture)).float() / 255)


def film_toys(path: Path, *faces, frames: int = FRAMES, voice=True, move: float = 1.0) -> list[np.ndarray]:
    """A video of faces that move to the right; returns the first one's five points, frame by frame."""
    shown = [[face + [move * t, 0] for face in faces] for t in range(frames)]
    pictures = (draw_faces(560, 320, *now) for now in shown)
    film(path, pictures, voice=voice_of(frames / FPS) if voice else None)
    return [now[0] for now in shown if now]


def film_person(path: Path, seed: int = 0, track: str = ".kps.json"):
    """A drawn person who talks, and the track beside the video."""
    person = clip(seed, voice_of(FRAMES / FPS), FPS, 96)
    film(path, (person.images * 255).byte().movedim(1, -1).numpy(), voice=person.waveform)
    save_kps(person.kps, path.with_name(path.stem + track))
    return person


def run_prepare(models: Path, videos: Path, *options: str) -> Path:
    """Returns OUT."""
    out = videos.parent / "out"
    run(_options([str(videos), str(out), "--models", str(models), "--size", str(SIZE), *options]))
    return out


def report_of(out: Path) -> dict[str, tuple[str, str]]:
    with open(out / "report.csv", newline="") as file:
        return {row["clip"]: (row["result"], row["details"]) for row in csv.DictReader(file)}


def read(path: Path) -> tuple[Prepared, dict[str, str]]:
    with safe_open(path, "pt") as file:
        return Prepared(*(file.get_tensor(key) for key in Prepared._fields)), file.metadata()


def test_a_drawn_person_with_a_track_becomes_a_clip(models, videos, capsys):
    person = film_person(videos / "anna.mp4")
    out = run_prepare(models, videos)
    made, said = read(out / "anna.safetensors")
    assert [tuple(part.shape) for part in made] == [(24, 4, 8, 8), (24, 3, 2), (24, 10, 32), (24, 4)]
    assert (said["fps"], said["size"], said["version"]) == ("25", "64", "1")
    assert said["source"].startswith("anna.mp4, ") and said["track"].startswith("anna.kps.json, ")
    assert report_of(out) == {"anna": ("kept", "24 frames.")}
    assert "1 of 1 clips are kept, 0 of them from before." in capsys.readouterr().out
    # The square is moved and scaled, but the movement in it is the person's.
    scale = (made.kps.std(0) / person.kps.points.std(0)).mean()
    moved = made.kps - made.kps[0] - scale * (person.kps.points - person.kps.points[0])
    assert moved.abs().max() < 0.01
    lips = (made.lips[:, :2] + made.lips[:, 2:]) / 2
    assert (lips[:, 1] > made.kps[:, 2, 1]).all()


def test_latents_are_those_of_the_square_as_the_unet_expects_them(models, videos):
    from comfy.sd import VAE as ComfyVAE

    grey = np.full((SIZE, SIZE, 3), 90, np.uint8)
    person = clip(0, voice_of(FRAMES / FPS), FPS, SIZE)
    film(videos / "grey.mp4", [grey] * FRAMES, voice=person.waveform)
    save_kps(person.kps, videos / "grey.kps.safetensors")
    made, _ = read(run_prepare(models, videos) / "grey.safetensors")
    expected = ComfyVAE(sd=load_file(models / VAE)).encode(torch.full((1, SIZE, SIZE, 3), 90 / 255))
    torch.testing.assert_close(made.latents[:1].float(), 0.18215 * expected, rtol=0, atol=0.02)


def test_features_are_what_the_frames_of_the_render_hear(models, videos):
    from pack.vexpress.audio import SAMPLE_RATE, frame_features, prepare_waveform
    from pack.vexpress.comfyui.audio_encoder import load_audio_encoder

    person = film_person(videos / "anna.mp4")
    made, _ = read(run_prepare(models, videos) / "anna.safetensors")
    voice = prepare_waveform(person.waveform[None, None], SAMPLE_RATE, FRAMES, FPS)
    encoder = load_audio_encoder(str(models / AUDIO_ENCODER))
    heard = encoder.encode_audio(voice[None, None], SAMPLE_RATE)["encoded_audio"]
    expected = frame_features(heard[0], FRAMES)
    assert (made.features - expected).norm() < 0.2 * expected.norm()  # AAC lies between


def test_faces_are_found_and_their_mouths(models, videos):
    faces = np.stack(film_toys(videos / "toy.mp4", FACE))
    made, said = read(run_prepare(models, videos) / "toy.safetensors")
    assert said["track"] == ""
    scale = EYE_DISTANCE * SIZE / 40
    middle = np.median(faces[:, :3], axis=0)
    expected = (faces - middle[2]) * scale + np.median(made.kps[:, 2].numpy(), axis=0)
    assert np.abs(made.kps.numpy() - expected[:, :3]).max() < 1
    left, right = expected[:, 3], expected[:, 4]
    width = right[:, :1] - left[:, :1]
    boxes = np.concatenate([left - width * [0.5, 0.5], right + width * [0.5, 0.5]], axis=1)
    assert np.abs(made.lips.numpy() - boxes).max() < 2


def test_what_cannot_be_used_is_left_out_and_named(models, videos, capsys):
    film_toys(videos / "good.mp4", FACE)
    film_toys(videos / "nobody.mp4")
    film_toys(videos / "pair.mp4", FACE, FAR)
    film_toys(videos / "mute.mp4", FACE, voice=False)
    film_toys(videos / "short.mp4", FACE, frames=20)
    film_toys(videos / "runaway.mp4", FACE, move=12)
    film(videos / "silent.mp4", [draw_faces(560, 320, FACE)] * FRAMES, voice=torch.zeros(16000))
    film(
        videos / "hidden.mp4",
        [draw_faces(560, 320, *([FACE] * (t < 9))) for t in range(FRAMES)],
        voice=voice_of(1),
    )
    whole = (videos / "good.mp4").read_bytes()
    (videos / "tail.mp4").write_bytes(whole[len(whole) // 2 :])
    (videos / "half.mp4").write_bytes(whole[: len(whole) // 2])  # its index lies at the start
    (videos / "empty.mp4").touch()
    out = run_prepare(models, videos)
    report = report_of(out)
    assert {name: result for name, (result, _) in report.items()} == {
        "good": "kept",
        "nobody": "no face",
        "hidden": "no face",
        "pair": "two faces",
        "mute": "no sound",
        "silent": "no sound",
        "short": "too short",
        "runaway": "face leaves the square",
        "tail": "cannot be read",
        "half": "too short",
        "empty": "cannot be read",
    }
    assert report["short"][1] == "20 frames; 21 are the least."
    assert report["pair"][1].startswith("24 of 24 frames show another face")
    assert "its file is damaged or no video" in report["tail"][1]
    assert sorted(path.name for path in out.iterdir()) == ["good.safetensors", "report.csv"]
    said = capsys.readouterr().out
    assert "1 of 11 clips are kept" in said and "2 no face" in said and "1 two faces" in said
    assert "tail: cannot be read." in said


def test_a_face_that_is_too_small_is_left_out(models, videos):
    film_toys(videos / "far.mp4", FACE)
    out = run_prepare(models, videos, "--size", "512")
    assert report_of(out)["far"] == ("face too small", "178 pixels around it; 256 are the least.")


def test_a_small_face_beside_and_a_short_gap_do_no_harm(models, videos):
    poster = face_points(400, 150, scale=0.45)
    pictures = [draw_faces(560, 320, *([] if t in (8, 9) else [FACE, poster])) for t in range(FRAMES)]
    film(videos / "a.mp4", pictures, voice=voice_of(1))
    assert report_of(run_prepare(models, videos))["a"][0] == "kept"


def test_a_track_of_another_length_is_refused(models, videos):
    person = film_person(videos / "anna.mp4")
    save_kps(replace(person.kps, points=person.kps.points[:-1]), videos / "anna.kps.json")
    result, details = report_of(run_prepare(models, videos))["anna"]
    assert result == "cannot be read"
    assert details == "anna.kps.json has 23 frames, which do not fit the 24 frames of the video from 0 on."


def test_what_is_prepared_is_made_again_only_if_something_changed(models, videos):
    film_person(videos / "anna.mp4")
    out = run_prepare(models, videos)
    before = (out / "anna.safetensors").stat().st_mtime_ns

    def again(*options: str) -> tuple[str, bool]:
        run_prepare(models, videos, *options)
        return report_of(out)["anna"][0], (out / "anna.safetensors").stat().st_mtime_ns == before

    assert again() == ("kept before", True)
    assert again("--size", "72") == ("kept", False)
    assert again("--size", "72") == ("kept before", False)
    film_person(videos / "anna.mp4", seed=1)
    assert again("--size", "72") == ("kept", False)
    (out / "anna.safetensors").write_bytes(b"cut short")
    assert again("--size", "72") == ("kept", False)


def test_what_is_left_out_now_is_learnt_from_no_more(models, videos):
    film_toys(videos / "far.mp4", FACE)
    out = run_prepare(models, videos, "--size", "256", "--mirror")
    assert {path.name for path in out.glob("far*")} == {"far.safetensors", "far.mirrored.safetensors"}
    run_prepare(models, videos, "--size", "256")  # --mirror forgotten
    assert len(list(out.glob("far*"))) == 2
    run_prepare(models, videos, "--size", "248")
    assert {path.name for path in out.glob("far*")} == {"far.safetensors"}
    run_prepare(models, videos, "--size", "512")
    assert report_of(out)["far"][0] == "face too small" and not list(out.glob("far*"))


def test_a_video_that_was_replaced_leaves_nothing_of_what_it_was(models, videos, monkeypatch):
    def prepared() -> list[str]:
        run_prepare(models, videos)
        return sorted(path.name for path in (videos.parent / "out").glob("*.safetensors"))

    monkeypatch.setattr("pack.vexpress.training.pieces.LONGEST", 1.5)  # seconds
    film_toys(videos / "long.mp4", FACE, frames=2 * FRAMES, move=0.5)
    film_person(videos / "anna.mp4")
    film_person(videos / "long_0007.mp4")
    assert prepared() == [f"{n}.safetensors" for n in ("anna", "long_0000", "long_0001", "long_0007")]
    film_toys(videos / "long.mp4", FACE)
    (videos / "anna.mp4").write_bytes(b"no video")
    assert prepared() == ["long.safetensors", "long_0007.safetensors"]
    assert report_of(videos.parent / "out")["anna"][0] == "cannot be read"
    assert (
        report_of(videos.parent / "out")["long_0007"][0] == "kept before"
    )  # another video's, not a piece of long
    (videos / "long.mp4").unlink()  # to make room, say
    assert prepared() == ["long.safetensors", "long_0007.safetensors"]


@pytest.mark.parametrize("options", [[], ["--size", "72"]], ids=["same options", "others"])
def test_what_cannot_be_read_just_now_costs_nothing(models, videos, options):
    film_person(videos / "anna.mp4")
    out = run_prepare(models, videos)
    (videos / "anna.mp4").rename(videos / "away")
    clips = [Clip("anna", videos / "anna.mp4")]  # it was there when the folder was listed
    prepare(
        clips, out, Models(None, torch.Tensor.clone, torch.Tensor.clone, {}), Settings(SIZE, False), quiet
    )
    assert report_of(out)["anna"][0] == "cannot be read" and (out / "anna.safetensors").exists()
    (videos / "away").rename(videos / "anna.mp4")
    run_prepare(models, videos, *options)
    assert report_of(out)["anna"][0] == ("kept" if options else "kept before")


def test_two_videos_never_replace_each_others_clips(models, videos, monkeypatch):
    monkeypatch.setattr("pack.vexpress.training.pieces.LONGEST", 1.5)  # seconds
    film_toys(videos / "long.mp4", FACE, frames=2 * FRAMES, move=0.5)
    film_person(videos / "long_0001.mp4")
    out = run_prepare(models, videos)
    made = (out / "long_0001.safetensors").read_bytes()
    for _ in range(2):
        report = report_of(out)
        assert report["long_0000"][0].startswith("kept")
        with open(out / "report.csv", newline="") as file:
            taken = [row for row in csv.DictReader(file) if row["result"] == "name taken"]
        assert [row["file"] for row in taken] == ["long_0001.mp4"]
        assert (
            taken[0]["details"] == "long_0001.safetensors is made of long.mp4: rename one of the two videos."
        )
        assert (out / "long_0001.safetensors").read_bytes() == made
        run_prepare(models, videos)
    (videos / "long.mp4").rename(videos / "longer.mp4")
    run_prepare(models, videos)
    assert [result for result, _ in report_of(out).values()] == ["kept"] * 3


def test_pictures_at_an_uneven_rate_are_left_out(models, videos):
    film_person(videos / "even.mp4")
    with av.open(str(videos / "even.mp4")) as even, av.open(str(videos / "uneven.mp4"), "w") as uneven:
        copies = {stream.index: uneven.add_stream_from_template(stream) for stream in even.streams}
        for packet in even.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video" and packet.pts * packet.time_base >= 0.5:
                late = int(0.2 / packet.time_base)
                packet.pts, packet.dts = packet.pts + late, packet.dts + late
            packet.stream = copies[packet.stream.index]
            uneven.mux(packet)
    (videos / "uneven.kps.json").write_bytes((videos / "even.kps.json").read_bytes())
    report = report_of(run_prepare(models, videos))
    assert report["even"][0] == "kept" and report["uneven"][0] == "uneven frame rate"
    assert "ffmpeg's -fps_mode cfr" in report["uneven"][1]


def test_a_name_that_is_not_in_utf_8_is_said_and_the_others_are_prepared(models, videos, capsys):
    film_person(videos / "anna.mp4")
    (videos / "anna.mp4").rename(videos / "b\udce4.mp4")
    film_person(videos / "carl.mp4")
    film_person(videos / "anna.mp4")
    out = run_prepare(models, videos)
    assert [result for result, _ in report_of(out).values()] == ["kept", "cannot be read", "kept"]
    assert "b\\udce4: cannot be read. Its name is not in UTF-8: rename it." in capsys.readouterr().out


def test_a_mirrored_clip_is_what_a_mirrored_video_would_give(models, videos):
    film_toys(videos / "toy.mp4", FACE, frames=25)  # its square has 178 pixels
    shown = (draw_faces(560, 320, FACE + [t, 0])[:, ::-1] for t in range(25))
    # Left and right of a mirrored face change their colours too.
    film(videos / "other.mp4", (_recoloured(picture) for picture in shown), voice=voice_of(1))
    out = run_prepare(models, videos, "--mirror", "--size", "176")
    plain, made, other = (read(out / f"{n}.safetensors")[0] for n in ("toy", "toy.mirrored", "other"))
    assert torch.equal(made.kps[..., 0], 175 - plain.kps[:, [1, 0, 2], 0])
    assert (made.kps - other.kps).abs().max() < 2  # the squares lie on whole pixels
    assert (made.kps[:, 0, 0] < made.kps[:, 1, 0]).all()
    assert (made.lips - other.lips).abs().max() < 4
    assert made.features.equal(read(out / "toy.safetensors")[0].features)
    assert {path.name for path in out.glob("*.mirrored.safetensors")} == {
        "toy.mirrored.safetensors",
        "other.mirrored.safetensors",
    }


def _recoloured(picture: np.ndarray) -> np.ndarray:
    """Red and green, and yellow and magenta, change places: the detector tells left and right by colour."""
    eyes = picture[..., [1, 0, 2]]
    yellow_or_magenta = (picture[..., 0] > 190) & (picture[..., 1:].max(-1) > 190)
    return np.where(yellow_or_magenta[..., None], picture[..., [0, 2, 1]], eyes)


def test_latents_of_a_mirrored_clip_are_of_mirrored_pictures(videos):
    film_person(videos / "anna.mp4")
    out = videos.parent / "out"
    pictures = Models(None, lambda pictures: pictures.movedim(-1, 1), lambda voice: torch.zeros(1, 60, 8), {})
    prepare([Clip("anna", videos / "anna.mp4")], out, pictures, Settings(SIZE, mirror=True), lambda _: None)
    plain, flipped = (read(out / f"anna{kind}.safetensors")[0].latents for kind in ("", ".mirrored"))
    assert plain.shape == (FRAMES, 3, SIZE, SIZE)
    assert flipped.equal(plain.flip(-1)) and not flipped.equal(plain)


def test_tubes_of_talkinghead_1kh_are_cut_out_of_their_chunks(models, videos):
    film_toys(videos / "abcdefghijk_0000.mp4", FACE, FAR, frames=40)
    (videos.parent / "tubes.txt").write_text(
        "abcdefghijk_0000,320,560,5,34,300,50,500,250\n"
        "abcdefghijk_0000,320,560,0,9,100,50,300,250\n"
        "lmnopqrstuv_0000,320,560,0,9,100,50,300,250\n"
    )
    out = run_prepare(
        models, videos, "--list", str(videos.parent / "tubes.txt"), "--layout", "talkinghead-1kh"
    )
    name = "abcdefghijk_0000_S5_E34_L300_T50_R500_B250"
    assert report_of(out) == {
        name: ("kept", "30 frames."),
        "abcdefghijk_0000_S0_E9_L100_T50_R300_B250": ("too short", "10 frames; 21 are the least."),
        "lmnopqrstuv_0000_S0_E9_L100_T50_R300_B250": ("no file", "The folder does not hold its video."),
    }


def later(path: Path, seconds: int) -> Path:
    """The same video with another time on its clock, as a part of a longer one may have it."""
    target = path.with_name(f"{path.stem}_later.mkv")
    with av.open(str(path)) as old, av.open(str(target), "w") as new:
        streams = {stream: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                shift = int(seconds / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts + shift,
                    packet.dts + shift,
                    streams[packet.stream],
                )
                new.mux(packet)
    return target


def test_a_chunk_that_kept_its_time_is_cut_in_the_same_place(models, videos):
    film_person(videos / "chunk.mp4")
    later(videos / "chunk.mp4", 60)
    clips = pieces(Clip("a", videos / "chunk.mp4", Span(2, 23, in_frames=True)))
    clips += pieces(Clip("b", videos / "chunk_later.mkv", Span(2, 23, in_frames=True)))
    assert [(piece.first, round(piece.start, 2)) for piece in clips] == [(2, 0.08), (2, 60.08)]
    pictures = [list(video_frames(piece.video)) for piece in clips]
    sounds = [np.concatenate(list(video_sound(piece.video).blocks), axis=1) for piece in clips]
    assert len(pictures[0]) == 21 and np.array_equal(*pictures)
    length = min(sound.shape[1] for sound in sounds) - 2048
    assert np.corrcoef(*(sound[0, 512:length] for sound in sounds))[0, 1] > 0.95


def test_segments_of_avspeech_follow_the_face_that_is_meant(models, videos):
    still = draw_faces(560, 320, FACE, FAR)
    moved = [draw_faces(560, 320, FACE, FAR + [t, 0]) for t in range(25)]
    film(videos / "abcdefghijk.mp4", [still] * 25 + moved, voice=voice_of(2))
    (videos.parent / "some.csv").write_text(
        f"abcdefghijk,1.000000,2.000000,{400 / 560:.6f},0.470000\n"
        f"abcdefghijk,1.000000,2.000000,{200 / 560:.6f},0.470000\n"
        "abcdefghijk,1.000000,2.000000,0.020000,0.020000\n"
    )
    out = run_prepare(models, videos, "--list", str(videos.parent / "some.csv"), "--layout", "avspeech")
    moving, still, nobody = report_of(out).items()
    assert (moving[1], still[1], nobody[1][0]) == (("kept", "25 frames."), ("kept", "25 frames."), "no face")
    moves = [read(out / f"{name}.safetensors")[0].kps[:, 2, 0] for name in (moving[0], still[0])]
    assert moves[0][-1] - moves[0][0] > 5 and moves[1].std() < 0.5


def test_a_clip_in_a_file_keeps_its_part_of_the_track(models, videos):
    person = clip(0, voice_of(2), FPS, 96)
    film(
        videos / "abcdefghijk.mp4", (person.images * 255).byte().movedim(1, -1).numpy(), voice=person.waveform
    )
    save_kps(person.kps, videos / "abcdefghijk.kps.json")
    (videos.parent / "some.csv").write_text("abcdefghijk,0.400000,1.400000,0.5,0.5\n")
    out = run_prepare(models, videos, "--list", str(videos.parent / "some.csv"), "--layout", "avspeech")
    (path,) = out.glob("*.safetensors")
    made, part = read(path)[0], person.kps.points[10:35]
    scale = (made.kps.std(0) / part.std(0)).mean()
    assert (made.kps - made.kps[0] - scale * (part - part[0])).abs().max() < 0.01


def test_memory_does_not_grow_with_the_length(models, videos):
    """More than a minute: two pieces, and only a batch of pictures at a time."""
    film(videos / "long.mp4", (draw_faces(256, 256, FACE - [70, 20]) for _ in range(123)), 2, voice_of(61.5))
    loaded = load_models(models, models / VAE, models / AUDIO_ENCODER, True)
    seen, alive, batches = [], [], []

    def detect(picture):
        seen.append(weakref.ref(picture))
        alive.append(sum(one() is not None for one in seen))
        return loaded.detect(picture)

    def encode(pictures):
        batches.append(len(pictures))
        return loaded.encode(pictures)

    watched = Models(detect, encode, loaded.hear, loaded.names)
    out = videos.parent / "out"
    prepare([Clip("long", videos / "long.mp4")], out, watched, Settings(SIZE), quiet)
    made = [read(out / f"long_{i:04d}.safetensors")[0] for i in range(2)]
    assert [len(clip.kps) for clip in made] == [62, 61]
    assert len(seen) == 123 and max(alive) < 5 and max(batches) == BATCH


def test_a_full_disk_is_one_sentence_and_leaves_what_is_there(models, videos):
    film_person(videos / "anna.mp4")
    out = run_prepare(models, videos)
    film_person(videos / "bert.mp4", seed=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="^The disk is full, so .*out could not be written"):
            run_prepare(models, videos)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in out.iterdir()) == ["anna.safetensors", "report.csv"]
    run_prepare(models, videos)
    assert [result for result, _ in report_of(out).values()] == ["kept before", "kept"]


def test_a_prepared_folder_is_what_training_learns_from(models, videos, checkpoints):
    film_person(videos / "anna.mp4")
    film_person(videos / "bert.mp4", seed=1, track=".kps.safetensors")
    out = run_prepare(models, videos, "--mirror")
    with torch.inference_mode(False):
        draw = ClipFolder(out)
        assert len(draw.files) == 4
        config = TrainingConfig(stage=2, start="", data=str(out), output="", steps=1, frames=3, clips=2)
        networks = load_networks(checkpoints)
        begin(networks, 2, 1)
        assert 0 < Trainer(networks, config, draw, quiet).take_step().loss < 100


@pytest.mark.parametrize(
    "options, message",
    [
        (["--size", "500"], "size is 500; it must be a multiple of 8, and 64 or more."),
        (["--list", "tubes.txt"], "--list and --layout belong together"),
        (["--vae", "other.safetensors"], "holds no other.safetensors."),
    ],
)
def test_bad_arguments_are_one_sentence_before_any_work(models, videos, options, message):
    film_person(videos / "anna.mp4")
    with pytest.raises((OSError, ValueError), match=message):
        run_prepare(models, videos, *options)
    assert not (videos.parent / "out").exists()


def test_what_is_no_vae_is_one_sentence(models, videos):
    film_person(videos / "anna.mp4")
    save_file({"a": torch.zeros(1)}, models / "vae" / "none.safetensors")
    try:
        with pytest.raises(ValueError, match="^none.safetensors is no VAE of Stable Diffusion 1.5"):
            run_prepare(models, videos, "--vae", "none.safetensors")
    finally:
        (models / "vae" / "none.safetensors").unlink()


def test_two_models_to_choose_from_are_one_sentence(models, videos, tmp_path):
    film_person(videos / "anna.mp4")
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / "models" / "vae").mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / "vae" / name).touch()
    with pytest.raises(ValueError, match="holds 2 models: choose with --vae, for instance a.safetensors"):
        run_prepare(tmp_path / "models", videos)


def test_videos_without_tracks_need_a_detector_before_any_work(models, videos, tmp_path):
    film_toys(videos / "toy.mp4", FACE)
    write_tiny_models(tmp_path / "models")
    with pytest.raises(FileNotFoundError, match="There is no face detector yet"):
        run_prepare(tmp_path / "models", videos)
    assert not (videos.parent / "out").exists()


def test_the_command_prepares_a_folder(models, videos):
    film_person(videos / "anna.mp4")
    command = [sys.executable, ROOT / "tools", "prepare", videos, videos.parent / "out", "--models", models]
    done = subprocess.run([*command, "--size", "64"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "anna: kept. 24 frames." in done.stdout
    done = subprocess.run([*command[:4], videos, *command[5:]], capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "where the videos are; choose another folder." in done.stderr
