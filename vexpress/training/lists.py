"""Which clips to prepare: the videos of a folder, or the parts of them that a public data set lists."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
MIDDLE = (0.5, 0.5)
NAMED_BY_ID = re.compile(r"\[([\w-]{11})]$")  # yt-dlp's "Title [id].mp4"


class Span(NamedTuple):
    """A part of a video, from its first picture on; the end is the first moment, or frame, that is left out."""

    start: float
    end: float
    in_frames: bool = False

    def seconds(self, fps: float) -> tuple[float, float]:
        unit = fps if self.in_frames else 1.0
        return self.start / unit, self.end / unit


class Clip(NamedTuple):
    """
    name: of what is prepared from it
    file: None where the folder lacks it
    span: None for the whole video
    face: x, y of the middle of the face at the start, in parts of the picture; None for the only face there is
    """

    name: str
    file: Path | None
    span: Span | None = None
    face: tuple[float, float] | None = None


def find_videos(folder: Path) -> dict[str, Path]:
    """By their names without the endings."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder of videos.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in VIDEOS:
            continue
        if path.stem in found:
            raise ValueError(
                f"{folder} holds {found[path.stem].name} and {path.name}, which would both become "
                f"{path.stem}.safetensors: rename one of them."
            )
        found[path.stem] = path
    if not found:
        raise FileNotFoundError(f"{folder} holds no video ({', '.join(VIDEOS)}).")
    return found


def whole_videos(videos: dict[str, Path]) -> Iterator[Clip]:
    return (Clip(name, path) for name, path in videos.items())


def talkinghead_1kh(line: str, videos: dict[str, Path]) -> Clip:
    """
    A line of TalkingHead-1KH's `…_video_tubes.txt`: name of a one-minute chunk, height, width, first frame, last
    frame (still in it), left, top, right, bottom. As its videos_crop.py reads it, which names the cut and cropped
    video as this clip is named, but leaves out the sound: that one is taken where the chunk is not there.
    """
    chunk, *numbers = line.split(",")
    height, width, first, last, left, top, right, bottom = map(int, numbers)
    _check(0 <= first <= last and 0 < height and 0 < width)
    name = f"{chunk}_S{first}_E{last}_L{left}_T{top}_R{right}_B{bottom}"
    if chunk not in videos and name in videos:
        return Clip(name, videos[name], face=MIDDLE)
    face = (left + right) / 2 / width, (top + bottom) / 2 / height
    return Clip(name, videos.get(chunk), Span(first, last + 1, in_frames=True), face)


def avspeech(line: str, videos: dict[str, Path]) -> Clip:
    """
    A row of avspeech_train.csv or avspeech_test.csv: YouTube's id, start and end in seconds, x and y of the middle of
    the face at the start, 0 left and top, 1 right and bottom. Downloads that are cut already are known by the name
    <id>_<start>_<end>, and taken first; otherwise the whole video, <id> or yt-dlp's "Title [id]".
    """
    video, start, end, x, y = line.split(",")
    span, face = Span(float(start), float(end)), (float(x), float(y))
    _check(0 <= span.start < span.end and all(0 <= part <= 1 for part in face))
    cut = f"{video}_{start}_{end}"
    name = f"{cut}_{x}_{y}"
    return Clip(name, videos[cut], face=face) if cut in videos else Clip(name, videos.get(video), span, face)


def _check(kept: bool) -> None:
    if not kept:
        raise ValueError("the numbers contradict each other")


class Layout(NamedTuple):
    columns: str
    read: Callable[[str, dict[str, Path]], Clip]


LAYOUTS = {
    "talkinghead-1kh": Layout("chunk,height,width,first,last,left,top,right,bottom", talkinghead_1kh),
    "avspeech": Layout("id,start,end,x,y", avspeech),
}


def listed_clips(file: Path, layout: str, videos: dict[str, Path]) -> Iterator[Clip]:
    """One after the other: these lists have millions of lines."""
    videos = _also_by_id(videos)
    columns, read = LAYOUTS[layout]
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                clip = read(",".join(column.strip() for column in line.split(",")), videos)
            except ValueError as error:
                raise ValueError(
                    f"Line {number} of {file.name} is {line.strip()[:80]!r}; {layout} has lines of {columns}."
                ) from error
            yield clip


def _also_by_id(videos: dict[str, Path]) -> dict[str, Path]:
    ids = ((NAMED_BY_ID.search(name), path) for name, path in videos.items())
    return {match[1]: path for match, path in ids if match} | videos
