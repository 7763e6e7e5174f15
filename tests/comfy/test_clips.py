"""Clips drawn from prepared videos."""

import pytest
import torch
from pack.vexpress.training.clips import BrokenClip, ClipFolder
from random_clips import write_video
from safetensors.torch import load_file, save_file


def test_a_portrait_is_a_frame_far_from_its_clip(tmp_path):
    write_video(tmp_path, "long.safetensors", 100)
    draw, generator = ClipFolder(tmp_path), torch.Generator().manual_seed(0)
    for _ in range(50):
        sample = draw(20, generator)
        frames, portrait = sample.latents[:, 0, 0, 0], sample.reference[0, 0, 0]
        assert frames.diff().eq(1).all() and len(frames) == len(sample.kps) == len(sample.features) == 20
        assert (frames - portrait).abs().min() >= 30


def test_a_portrait_from_a_short_video_is_as_far_as_it_can_be(tmp_path):
    write_video(tmp_path, "short.safetensors", 4)
    sample = ClipFolder(tmp_path)(3, torch.Generator().manual_seed(0))
    assert sample.reference[0, 0, 0] in (0, 3)


def test_broken_and_short_videos_are_named(tmp_path):
    write_video(tmp_path, "whole.safetensors", 40)
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "whole.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BrokenClip, match="^whole.safetensors cannot be read"):
        ClipFolder(tmp_path)(20, torch.Generator().manual_seed(0))
    write_video(tmp_path, "whole.safetensors", 20)
    with pytest.raises(BrokenClip, match="^whole.safetensors has 20 frames; .* need 21"):
        ClipFolder(tmp_path)(20, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "part, other, said",
    [("latents", (40, 4, 8, 8), "another size"), ("features", (40, 10, 24), "another audio encoder")],
)
def test_videos_prepared_in_two_ways_are_named(tmp_path, part, other, said):
    for name in ("one", "two"):
        write_video(tmp_path, f"{name}.safetensors", 40)
    parts = load_file(tmp_path / "two.safetensors") | {part: torch.zeros(other)}
    save_file(parts, tmp_path / "two.safetensors")
    draw, generator = ClipFolder(tmp_path), torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match=f"(one|two).safetensors was prepared with {said} than.*(one|two)"):
        for _ in range(20):
            draw(20, generator)


def test_a_video_with_a_number_that_is_none_is_named(tmp_path):
    write_video(tmp_path, "nan.safetensors", 5, first=torch.nan)
    with pytest.raises(BrokenClip, match="^nan.safetensors has values that are no finite numbers"):
        ClipFolder(tmp_path)(4, torch.Generator().manual_seed(0))


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no .safetensors files"):
        ClipFolder(tmp_path)
