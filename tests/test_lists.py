"""Which clips are prepared, from folders and from the lists of public data sets."""

from pathlib import Path

import pytest
from pack.vexpress.training.lists import Clip, Span, find_videos, listed_clips, whole_videos

TUBE = "-7TMJtnhiPM_0000,720,1280,90,239,640,90,1120,570"
CROPPED = "-7TMJtnhiPM_0000_S90_E239_L640_T90_R1120_B570"
SEGMENT = "0-0E4oFrGxg,160.160000,163.920000,0.402083,0.206944"


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def listed(folder: Path, layout: str, *lines: str) -> list[Clip]:
    (folder / "list.txt").write_text("\n".join(lines) + "\n")
    return list(listed_clips(folder / "list.txt", layout, find_videos(folder)))


def test_the_videos_of_a_folder_in_order_and_nothing_else(tmp_path):
    folder_of(tmp_path, "b.MP4", "a.webm", "a.kps.json", "notes.txt")
    clips = list(whole_videos(find_videos(tmp_path)))
    assert clips == [Clip("a", tmp_path / "a.webm"), Clip("b", tmp_path / "b.MP4")]


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no video"):
        find_videos(tmp_path)
    with pytest.raises(FileNotFoundError, match="is no folder of videos"):
        find_videos(tmp_path / "none")


def test_two_videos_that_would_become_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds a.mov and a.mp4, which would both become a.safetensors"):
        find_videos(folder_of(tmp_path, "a.mp4", "a.mov"))


def test_a_tube_is_part_of_a_chunk(tmp_path):
    folder_of(tmp_path, "-7TMJtnhiPM_0000.mp4")
    (clip,) = listed(tmp_path, "talkinghead-1kh", TUBE)
    assert (clip.name, clip.file) == (CROPPED, tmp_path / "-7TMJtnhiPM_0000.mp4")
    assert clip.span == Span(90, 240, in_frames=True)  # frame 239 is in it
    assert clip.span.seconds(30.0) == (3, 8)
    assert clip.face == (880 / 1280, 330 / 720)


def test_a_chunk_is_taken_before_what_was_cropped_out_of_it_without_its_sound(tmp_path):
    folder_of(tmp_path, "-7TMJtnhiPM_0000.mp4", f"{CROPPED}.mp4")
    (clip,) = listed(tmp_path, "talkinghead-1kh", TUBE)
    assert clip.file == tmp_path / "-7TMJtnhiPM_0000.mp4"


def test_a_tube_that_is_cropped_already_is_taken_as_it_is(tmp_path):
    folder_of(tmp_path, f"{CROPPED}.mp4")
    (clip,) = listed(tmp_path, "talkinghead-1kh", TUBE)
    assert clip == Clip(CROPPED, tmp_path / f"{CROPPED}.mp4", None, (0.5, 0.5))


@pytest.mark.parametrize("name", ["0-0E4oFrGxg", "A title [0-0E4oFrGxg]"])
def test_a_segment_is_part_of_a_video(tmp_path, name):
    folder_of(tmp_path, f"{name}.mp4")
    (clip,) = listed(tmp_path, "avspeech", SEGMENT)
    assert clip.file == tmp_path / f"{name}.mp4"
    assert clip.span.seconds(fps=25.0) == (160.16, 163.92)
    assert clip.face == (0.402083, 0.206944)


def test_a_segment_that_is_cut_already_is_taken_as_it_is(tmp_path):
    cut = "0-0E4oFrGxg_160.160000_163.920000.mp4"
    (clip,) = listed(folder_of(tmp_path, cut, "0-0E4oFrGxg.mp4"), "avspeech", SEGMENT)
    assert (clip.file, clip.span, clip.face) == (tmp_path / cut, None, (0.402083, 0.206944))


def test_two_faces_of_one_segment_have_names_of_their_own(tmp_path):
    folder_of(tmp_path, "0-0E4oFrGxg.mp4")
    clips = listed(tmp_path, "avspeech", SEGMENT, "", SEGMENT.replace("0.402083", "0.8"))
    assert len({clip.name for clip in clips}) == 2


@pytest.mark.parametrize("layout, line", [("talkinghead-1kh", TUBE), ("avspeech", SEGMENT)])
def test_what_the_folder_lacks_is_listed_without_a_file(tmp_path, layout, line):
    (clip,) = listed(folder_of(tmp_path, "other.mp4"), layout, line)
    assert clip.file is None


@pytest.mark.parametrize(
    "layout, line",
    [
        ("talkinghead-1kh", "-7TMJtnhiPM"),
        ("talkinghead-1kh", TUBE.replace("239", "80")),
        ("avspeech", TUBE),
        ("avspeech", SEGMENT.replace("0.402083", "402")),
        ("avspeech", SEGMENT.replace("163.920000", "16.0")),
        ("avspeech", "YouTube ID,start segment,end segment,X coordinate,Y coordinate"),
    ],
)
def test_a_line_of_another_layout_is_named(tmp_path, layout, line):
    folder_of(tmp_path, "other.mp4")
    good = TUBE if layout == "talkinghead-1kh" else SEGMENT
    with pytest.raises(ValueError, match=f"^Line 2 of list.txt is '.*; {layout} has lines of "):
        listed(tmp_path, layout, good, line)
