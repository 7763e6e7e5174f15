"""A talking-head VIDEO, whatever made it, against what it was asked to show."""

from array import array
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from comfy_api.latest import Input
from numpy import ndarray
from PIL import Image
from torch import Tensor

from ..chart import OUTSIDE, Curve, Mark, clip_headline, draw_curves
from ..detection import Face, FaceChooser, Picture, Selection
from ..kps import Kps, check_same_aspect
from ..metrics import FaceSim, Flicker, Jerk, KpsDis, Likeness, Number, PerFrame, load_ssim
from ..pictures import as_bytes, rgb
from .face_detector import load_detector
from .face_recognizer import load_recognizer
from .lip_sync import LipSync
from .video_frames import VideoFrames, at_rate, video_frames, with_progress
from .video_sound import video_sound
from .video_writer import Sound

SAME_RATE = 2e-3  # 29.97 and 30000/1001 are the same frame rate; 24 and 23.976 nearly
SYNCNET = "SyncNet LSE-D and LSE-C"
NO_BOX = [np.nan] * 4
SAME_VIDEO = "detect them in this very video"
SAME_PICTURE = "take them from this very picture, or judge the square video that is not pasted back"
SETS = "FID and FVD compare sets of videos, not one: `python dev.py evaluate_sets` in a clone of this pack."


class Evaluation(NamedTuple):
    """
    notes: sentences on what was compared, and on what could not be computed
    still: the video's first picture
    """

    numbers: list[Number]
    notes: list[str]
    chart: Image.Image
    still: Image.Image

    @property
    def report(self) -> str:
        return "\n".join([*map(str, self.numbers), "", *self.notes])


class Against(NamedTuple):
    """
    What a video is compared with.

    kps:      the V-Kps asked for
    found:    those in the video, of any detector; without them insightface looks
    real:     the clip that the video imitates
    portrait: (1, H, W, C) 0..1
    """

    kps: Kps
    found: Kps | None = None
    real: Input.Video | None = None
    portrait: Tensor | None = None


def evaluate(video: Input.Video, against: Against, selection: Selection, min_score: float) -> Evaluation:
    frames, notes = video_frames(video), []
    still = Image.fromarray(next(iter(frames)))
    target = _target(against.kps, frames)
    found = against.found and against.found.scaled(frames.width, frames.height, "found_kps", SAME_PICTURE)
    sound, absent = video_sound(video), []
    lip_sync = _unless_missing(LipSync, what=SYNCNET, notes=absent) if sound else None
    if sound is None:
        absent.append(f"Not computed: {SYNCNET}. The video has no sound.")
    needs_faces = [
        *([] if found else ["KpsDis", "missed faces", "jerk"]),
        *([] if against.portrait is None else ["FaceSim"]),
        *([] if lip_sync is None else [SYNCNET]),
    ]
    made, imitated = _watchers(frames, against, selection, min_score, needs_faces, notes)
    ssim = against.real and _unless_missing(load_ssim, what="SSIM", notes=absent)
    kps_dis, asked_jerk, likeness = KpsDis(), Jerk(), Likeness(ssim)
    real_frames = None if against.real is None else video_frames(against.real)
    in_step = real_frames is None or abs(real_frames.fps / frames.fps - 1) < SAME_RATE
    real = _real_pictures(real_frames, frames)
    count = 0
    for picture in with_progress(frames, frames.count):
        if found and count == len(found):
            raise ValueError(f"found_kps has {count} frames, the video more: {SAME_VIDEO}.")
        points = made.add(picture, found and _points(found, count))
        if made.finds or found:
            kps_dis.add(_points(target, count), points)
        asked_jerk.add(_points(target, count))
        if (real_picture := next(real, None)) is not None:
            imitated.add(real_picture)
            likeness.add(picture, real_picture)
        count += 1
    if found and len(found) != count:
        raise ValueError(f"found_kps has {len(found)} frames, the video {count}: {SAME_VIDEO}.")
    notes += _kps_notes(target, count, found.detector if found else made.finds and "insightface")
    if against.real is not None and (compared := len(likeness.error.values)) < count:
        notes.append(
            f"The real clip ends before the video: {compared} of {count} frames were compared with it."
        )
    if not in_step:
        notes.append(
            f"The real clip has {float(real_frames.fps):g} frames per second, the video {float(frames.fps):g}: jerk and "
            "flicker of the real clip are not computed, for they depend on the rate."
        )
    comparable = in_step and not found  # else another detector looks at the real clip
    numbers = [
        *kps_dis.numbers(),
        *([] if found else kps_dis.missed.mean("missed faces", "%", 1)),
        *made.jerk.pixels.mean("jerk", "px/frame/frame"),
        *asked_jerk.pixels.mean("jerk asked for", "px/frame/frame"),
        *(imitated.jerk.pixels.mean("jerk of the real clip", "px/frame/frame") if comparable else []),
        *made.flicker.levels.mean("flicker", "of 255"),
        *(imitated.flicker.levels.mean("flicker of the real clip", "of 255") if in_step else []),
        *likeness.numbers(),
        *_face_similarity(made, imitated),
        *(_synchrony(lip_sync, sound, frames, made.boxes, notes) if lip_sync and made.finds else []),
        *_length(video, frames, count, against.kps),
    ]
    chart = _chart(frames, count, kps_dis, made, likeness, notes)
    return Evaluation(numbers, [*notes, *absent, SETS], chart, still)


def check_portrait(portrait: Tensor, min_score: float) -> None:
    """Raise what `evaluate` would, if the files are there that it is looked at with; before many videos are judged."""
    if (detect := _unless_missing(load_detector, min_score, what="FaceSim", notes=[])) is not None:
        _portrait_face(portrait, detect)


class Watcher:
    """What is measured in the same way in the video and in the real clip."""

    def __init__(self, faces: Callable[[ndarray], Face | None] | None, person: Callable | None, portrait):
        """
        faces:    finds the face in (H, W, 3) RGB uint8
        person:   its embedding (E,)
        portrait: the embedding (E,) of the person it should be
        """
        self.finds, self.person = faces, person
        self.jerk, self.flicker, self.boxes = Jerk(), Flicker(), array("d")
        self.similarity = None if person is None else FaceSim(portrait)

    def add(self, picture: ndarray, points: ndarray | None = None) -> ndarray | None:
        """
        picture:         (H, W, 3) RGB uint8
        points, returns: (3, 2) V-Kps; found in the picture if not given
        """
        face = self.finds and self.finds(picture)
        if self.similarity:
            self.similarity.add(face and self.person(picture, face))
        self.boxes.extend(face.box if face else NO_BOX)
        points = face.points if points is None and face else points
        self.jerk.add(points)
        self.flicker.add(picture)
        return points


def _watchers(
    frames: VideoFrames,
    against: Against,
    selection: Selection,
    min_score: float,
    needs_faces: list[str],
    notes: list[str],
) -> list[Watcher]:
    """Of the video and of the real clip. needs_faces: the numbers that need a face detector"""
    picture = Picture(frames.width, frames.height)
    detect = person = portrait = None
    if needs_faces:
        detect = _unless_missing(load_detector, min_score, what=", ".join(needs_faces), notes=notes)
    if detect and against.portrait is not None:
        person = _unless_missing(load_recognizer, what="FaceSim", notes=notes)
    if person:
        portrait = person(*_portrait_face(against.portrait, detect))
    choosers = [detect and _follower(detect, FaceChooser(selection, picture)) for _ in range(2)]
    if against.found and not person:
        choosers[1] = None  # nothing would be made of the real clip's faces
    return [Watcher(faces, person, portrait) for faces in choosers]


def _follower(detect: Callable, choose: FaceChooser) -> Callable[[ndarray], Face | None]:
    return lambda picture: choose(detect(picture))


def _unless_missing(load: Callable, *arguments, what: str, notes: list[str]) -> Callable | None:
    """What the user has not installed is left out, and said."""
    try:
        return load(*arguments)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        notes.append(f"Not computed: {what}. {error}")


def _portrait_face(portrait: Tensor, detect: Callable) -> tuple[ndarray, Face]:
    """portrait: (1, H, W, C) 0..1; returned as (H, W, 3) RGB uint8 with its largest face"""
    if len(portrait) != 1:
        raise ValueError(f"portrait holds {len(portrait)} pictures, and one is compared.")
    picture = as_bytes(rgb(portrait, "portrait")[0])
    face = FaceChooser(Selection(), Picture(*picture.shape[1::-1]))(detect(picture))
    if face is None:
        raise ValueError("portrait shows no face.")
    return picture, face


def _target(kps: Kps, frames: VideoFrames) -> Kps:
    """At the video's size and rate; one frame stands for any length."""
    kps = kps.scaled(frames.width, frames.height, "kps", SAME_PICTURE)
    return kps if len(kps) == 1 else kps.resampled(_asked_frames(kps, frames), float(frames.fps))


def _asked_frames(kps: Kps, frames: VideoFrames) -> int:
    return max(round(len(kps) * float(frames.fps) / kps.fps), 1)


def _points(kps: Kps, frame: int) -> ndarray | None:
    """(3, 2), None after the end"""
    if len(kps) == 1:
        frame = 0
    return kps.points[frame].numpy() if frame < len(kps) else None


def _real_pictures(real: VideoFrames | None, frames: VideoFrames) -> Iterator[ndarray]:
    """What the real clip shows when the video shows each of its pictures, at the video's size."""
    if real is None:
        return
    size = frames.width, frames.height
    check_same_aspect("real", (real.width, real.height), size, "cut both to the same part of the picture")
    for picture in at_rate(real, frames.fps):
        yield np.array(Image.fromarray(picture).resize(size))


def _kps_notes(target: Kps, count: int, detector: str | None) -> Iterator[str]:
    """detector: of the V-Kps in the video, if known"""
    if len(target) not in (1, count):
        yield (
            f"The video has {count} frames, and kps asks for {len(target)} at its rate: the first "
            f"{min(count, len(target))} were compared."
        )
    if target.detector and detector and target.detector != detector:
        yield (
            f"kps is from {target.detector}, the V-Kps of the video from {detector}: two detectors differ by a few % of "
            "the eye distance, which KpsDis includes."
        )


def _face_similarity(made: Watcher, imitated: Watcher) -> list[Number]:
    if made.similarity is None:
        return []
    numbers = made.similarity.cosine.mean("FaceSim", digits=3)
    real = imitated.similarity.cosine.mean("FaceSim of the real clip", digits=3)
    both = imitated.similarity.cosine.values, made.similarity.cosine.values
    frames = min(map(len, both))  # the shorter ends the comparison
    differences = both[0][:frames] - both[1][:frames]
    if not np.isnan(differences).all():
        real.append(Number("ΔFaceSim", float(np.nanmean(differences)), digits=3))
    return numbers + real


def _synchrony(
    lip_sync: LipSync, sound: Sound, frames: VideoFrames, boxes: array, notes: list[str]
) -> list[Number]:
    try:
        numbers, compared = lip_sync(sound, frames, np.array(boxes).reshape(-1, 4))
    except ValueError as error:
        notes.append(f"Not computed: {SYNCNET}. {error}")
        return []
    notes.append(compared)
    return numbers


def _length(video: Input.Video, frames: VideoFrames, count: int, kps: Kps) -> Iterator[Number]:
    yield Number("frames", count, digits=0)
    if len(kps) > 1:
        yield Number("frames asked for", _asked_frames(kps, frames), digits=0)
    yield Number("fps", float(frames.fps))
    if len(kps) > 1:
        yield Number("fps asked for", kps.fps)
    sound = video_sound(video)
    if sound is not None:
        seconds = sum(block.shape[1] for block in sound.blocks) / sound.sample_rate
        _, trim = video.get_active_trim_window()
        seconds = min(seconds, trim or seconds)
        yield Number("sound longer than pictures by", seconds - count / float(frames.fps), "s")


def _chart(
    frames: VideoFrames, count: int, kps_dis: KpsDis, made: Watcher, likeness: Likeness, notes: list[str]
) -> Image.Image:
    tracks = [
        (kps_dis.pixels, Curve("KpsDis", None, "px", 2.0, (94, 190, 255))),
        (made.flicker.levels, Curve("flicker", None, "/ 255", 1.0, (240, 190, 90))),
        (likeness.ssim, Curve("SSIM", None, "", 0.05, (120, 220, 140), digits=3)),
        (made.similarity and made.similarity.cosine, Curve("FaceSim", None, "", 0.05, (214, 140, 255), digits=3)),
    ]  # fmt: skip
    curves = [
        curve._replace(values=_filled(track, count)) for track, curve in tracks if track and len(track.known)
    ]
    missed = kps_dis.missed.values > 0
    marks = [Mark(missed, OUTSIDE, "no face")] if missed.any() else []
    size = f"{frames.width} x {frames.height} px"
    return draw_curves(
        curves, float(frames.fps), f"{clip_headline(count, float(frames.fps))}, {size}", marks, notes
    )


def _filled(track: PerFrame, count: int) -> ndarray:
    """(F,) nan, and what is missing at the end, taken from the frames around"""
    known = np.flatnonzero(~np.isnan(track.values))
    return np.interp(np.arange(count), known, track.known)
