"""From videos of people who talk to what training reads: latents, V-Kps, audio features and lips."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import torch
from torch import Tensor

from ..audio import frame_features, prepare_waveform
from ..comfyui.conditioning import fit
from ..comfyui.disk import said_in_a_sentence
from ..comfyui.video_frames import VideoFrames, video_frames
from ..comfyui.video_sound import video_sound
from ..comfyui.video_writer import Sound
from ..crop import Placement, cut, kps_in_crop, place, points_in_crop
from ..kps import Kps
from .boxes import lip_boxes
from .lists import Clip
from .pieces import Piece, pieces, seconds_astray
from .prepared import (
    MIRRORED,
    Prepared,
    is_prepared,
    mirrored,
    prepared_of_clips,
    source_of,
    write_prepared,
)
from .report import KEPT, KEPT_BEFORE, LeftOut, Report, printable
from .stages import STAGES
from .tracking import Detect, Track, follow, read_track, track_file

BATCH = 8  # frames encoded together
SHORTEST = max(stage.frames for stage in STAGES.values()) + 1  # a clip and its portrait
MOST_ASTRAY = 0.05  # seconds: more is seen, and a frame hears two frames more on both sides
LEAST_DETAIL = 0.5  # of the size: from a smaller square, a clip would be mostly made up


@dataclass(frozen=True)
class Settings:
    """size: of the square pictures, in pixels"""

    size: int = 512
    mirror: bool = False

    def __post_init__(self):
        if self.size < 64 or self.size % 8:
            raise ValueError(f"size is {self.size}; it must be a multiple of 8, and 64 or more.")


class Models(NamedTuple):
    """
    detect: finds faces; None if every video has a track beside it
    encode: pictures 0..1 to latents as the UNet expects them, (B, H, W, 3) -> (B, 4, h, w)
    hear:   a voice's audio features, (1, N) at 16 kHz -> (1, S, A)
    names:  of the files, to tell clips apart that others made
    """

    detect: Detect | None
    encode: Callable[[Tensor], Tensor]
    hear: Callable[[Tensor], Tensor]
    names: dict[str, str]


@torch.inference_mode()
def prepare(
    clips: Iterable[Clip], out: Path, models: Models, settings: Settings, tell: Callable[[str], None] = print
) -> None:
    """A file in `out` for every clip that can be used, and a line in out/report.csv for every one."""
    with said_in_a_sentence(out):
        out.mkdir(parents=True, exist_ok=True)
        there = prepared_of_clips(out)
        with Report(out / "report.csv") as report:
            for clip in clips:
                for said in _results(clip, out, models, settings, there.get(clip.name, set())):
                    name, result, details = map(printable, said)
                    report.add(name, clip.file, result, details)
                    tell(f"{name}: {result}. {details}".rstrip())
        tell(report.summary)


def _results(
    clip: Clip, out: Path, models: Models, settings: Settings, there: set[Path]
) -> Iterator[tuple[str, str, str]]:
    """
    Name, result and details of a clip or, if it is long, of each of its pieces.

    there: what may have been made of it before. Training learns from all there is, so what fits no longer goes, but not
           because a video that did not change cannot be read just now
    """
    fits: dict[Path, dict[str, str]] = {}
    try:
        for piece in _pieces(clip):
            with _readable():
                origin = _origin(piece, models, settings)
            fits |= dict.fromkeys(_paths(piece, out), origin)
            try:
                yield piece.name, *_result(piece, out, models, settings, origin)
            except LeftOut as error:
                yield piece.name, error.why, str(error)
    except LeftOut as error:
        yield clip.name, error.why, str(error)
        there = {path for path in there if clip.file and _has_changed(clip.file, source_of(path))}
    for path in there | {*fits}:
        if path in fits:
            stays = is_prepared(path, fits[path]) or _other_video(path, clip.file)
        else:
            stays = not _is_made_from(path, clip.file)
        if not stays:
            path.unlink(missing_ok=True)


def _paths(piece: Piece, out: Path) -> list[Path]:
    return [out / f"{piece.name}{ending}.safetensors" for ending in ("", MIRRORED)]


def _pieces(clip: Clip) -> list[Piece]:
    if clip.file is None:
        raise LeftOut("no file", "The folder does not hold its video.")
    if printable(clip.file.name) != clip.file.name:
        raise LeftOut("cannot be read", "Its name is not in UTF-8: rename it.")
    with _readable():
        return pieces(clip)


def _result(
    piece: Piece, out: Path, models: Models, settings: Settings, said: dict[str, str]
) -> tuple[str, str]:
    paths = _paths(piece, out)[: 2 if settings.mirror else 1]
    if all(is_prepared(path, said) for path in paths):
        return KEPT_BEFORE, ""
    for path in paths:
        if other := _other_video(path, piece.file):
            raise LeftOut("name taken", f"{path.name} is made of {other}: rename one of the two videos.")
    with _readable():
        frames = video_frames(piece.video)
        made = _made(piece, frames, models, settings)
    for path, clip in zip(paths, made, strict=True):
        write_prepared(path, clip, said | {"fps": str(frames.fps)})
    return KEPT, f"{len(made[0].kps)} frames."


def _origin(piece: Piece, models: Models, settings: Settings) -> dict[str, str]:
    """All that a prepared clip depends on."""
    source = {"source": piece.file, "track": track_file(piece.file)}
    origin = {key: "" if file is None else _state(file) for key, file in source.items()}
    part = {"start": piece.start, "duration": piece.duration, "face": piece.face, "size": settings.size}
    return origin | {key: str(value) for key, value in part.items()} | models.names


def _state(file: Path) -> str:
    """Changes when the file does."""
    stat = file.stat()
    return f"{file.name}, {stat.st_size} bytes, {stat.st_mtime_ns} ns"


def _is_made_from(path: Path, video: Path | None) -> bool:
    """Whether a prepared file is there and was made from a video of that name."""
    return video is not None and _name_in(source_of(path)) == video.name


def _other_video(path: Path, video: Path) -> str | None:
    """The video beside this one that a file was made from, as `long_0001.mp4` where `long.mp4` has many pieces."""
    name = _name_in(source_of(path))
    return name if name not in ("", video.name) and video.with_name(name).exists() else None


def _name_in(state: str) -> str:
    return state.rsplit(", ", 2)[0]


def _has_changed(video: Path, source: str) -> bool:
    try:
        return _state(video) != source
    except OSError:  # gone, or out of reach for the moment
        return False


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """What goes wrong with one file among thousands leaves out that one."""
    try:
        yield
    except (ValueError, ArithmeticError, OSError, av.FFmpegError) as error:
        raise LeftOut("cannot be read", str(error)) from error


def _made(piece: Piece, frames: VideoFrames, models: Models, settings: Settings) -> list[Prepared]:
    """The clip and, if it is wanted, the same mirrored."""
    sound = video_sound(piece.video)
    if sound is None:
        raise LeftOut("no sound", "The video has no sound track.")
    if (astray := seconds_astray(piece.video, frames.fps)) > MOST_ASTRAY:
        raise LeftOut(
            "uneven frame rate",
            f"Its pictures stray by {astray:.2f} s from {float(frames.fps):g} a second, so lips would not fit the voice: "
            "convert it with ffmpeg's -fps_mode cfr.",
        )
    track = _track(piece, frames, models)
    placement = _placement(track.kps, settings.size)
    kps, lips = _in_crop(track, placement)
    features = _features(sound, len(kps), float(frames.fps), models)
    latents = _latents(frames, placement, models, settings.mirror)
    clip = Prepared(latents[0], kps, features, lips)
    return [clip, *(mirrored(clip, flipped, settings.size) for flipped in latents[1:])]


def _track(piece: Piece, frames: VideoFrames, models: Models) -> Track:
    file = track_file(piece.file)
    if file:
        track = read_track(file, frames, piece.first, to_the_end=not piece.duration)
    else:
        track = follow(frames, models.detect, piece.face)
    if len(track.kps) < SHORTEST:
        raise LeftOut("too short", f"{len(track.kps)} frames; {SHORTEST} are the least.")
    return track


def _placement(kps: Kps, size: int) -> Placement:
    """The square around where the face mostly is, moved or made smaller so that it lies in the picture."""
    around = place(replace(kps, points=kps.points.median(0, keepdim=True).values), 1.0, size)
    side = min(around.side, kps.width, kps.height)
    if side < LEAST_DETAIL * size:
        raise LeftOut("face too small", f"{side} pixels around it; {LEAST_DETAIL * size:g} are the least.")
    shrunk = (around.side - side) // 2
    left = min(max(around.left + shrunk, 0), kps.width - side)
    top = min(max(around.top + shrunk, 0), kps.height - side)
    return replace(around, left=left, top=top, side=side)


def _in_crop(track: Track, placement: Placement) -> tuple[Tensor, Tensor]:
    """V-Kps (F, 3, 2) and lips (F, 4) in pixels of the square."""
    kps = kps_in_crop(track.kps, placement)
    outside = kps.outside()
    if outside.any():
        raise LeftOut("face leaves the square", f"The first time in frame {int(outside.nonzero()[0])}.")
    mouth = None if track.mouth is None else points_in_crop(track.mouth, placement)
    return kps.points, lip_boxes(kps.points, mouth)


def _features(sound: Sound, frames: int, fps: float, models: Models) -> Tensor:
    """(F, 10, A) float16"""
    voice = _voice(sound, frames / fps)
    if not voice.any():
        raise LeftOut("no sound", "The sound of the clip is silence.")
    waveform = prepare_waveform(voice, sound.sample_rate, frames, fps)
    return frame_features(models.hear(waveform[None])[0], frames).half()


def _voice(sound: Sound, seconds: float) -> Tensor:
    """(1, C, N) of a clip of that length; no more is read."""
    blocks, samples = [torch.zeros(sound.channels, 0)], 0
    for block in sound.blocks:
        blocks.append(torch.from_numpy(block))
        samples += block.shape[1]
        if samples >= seconds * sound.sample_rate:
            break
    return torch.cat(blocks, dim=1)[None]


def _latents(frames: VideoFrames, placement: Placement, models: Models, mirror: bool) -> list[Tensor]:
    """(F, 4, h, w) float16, of the pictures and, if it is wanted, of the mirrored ones."""
    squares = (cut(torch.from_numpy(picture)[None], placement) for picture in frames)
    batches = []
    while batch := list(islice(squares, BATCH)):
        pictures = fit(torch.cat(batch).float() / 255, placement.size, placement.size)
        shown = [pictures, pictures.flip(2)] if mirror else [pictures]
        batches.append([models.encode(side).half().cpu() for side in shown])
    return [torch.cat(sides) for sides in zip(*batches, strict=True)]
