"""FID and FVD of folders of videos, with an Inception of chance and a small network in I3D's place."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from pack.tools.evaluate_sets import INCEPTION, VideoDistance, main, run
from pack.vexpress.comfyui.video_writer import write_video
from scipy.linalg import sqrtm

LENGTH = 35  # two clips of 16, and 3 pictures


class StandIn(torch.nn.Module):
    """Called as I3D is."""

    def __init__(self):
        super().__init__()
        weights = torch.randn(400, 3 * 4 * 28 * 28, generator=torch.Generator().manual_seed(0))
        self.register_buffer("weights", weights / weights.shape[1] ** 0.5)

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        assert not rescale and not resize and return_features
        return torch.nn.functional.avg_pool3d(x, (4, 8, 8)).flatten(1) @ self.weights.T


def write_i3d(models):
    (models / "i3d").mkdir(parents=True)
    torch.jit.script(StandIn()).save(models / "i3d" / "i3d_torchscript.pt")


def write_inception(models, monkeypatch):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    (models / "inception").mkdir(parents=True)
    file = models / "inception" / INCEPTION
    torch.save({}, file)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        made = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(file))
    chance = torch.Generator().manual_seed(0)
    for weight in made.state_dict().values():
        if weight.dim() == 4:  # as large as keeps a signal alive
            fan_in = weight[0].numel()
            weight.copy_(torch.randn(weight.shape, generator=chance) * (2 / fan_in) ** 0.5)
    torch.save(made.state_dict(), file)


def videos(folder, seeds, brightness=0):
    """Of noise in coarse cells, so that the codec keeps it."""
    folder.mkdir()
    for seed in seeds:
        chance = np.random.default_rng(seed)
        with write_video(folder / f"{seed}.mp4", Fraction(25)) as file:
            for _ in range(LENGTH):
                cells = chance.integers(60, 160, (8, 8, 3)) + brightness
                file.write(torch.from_numpy(np.kron(cells, np.ones((8, 8, 1)))) / 255)
    return folder


def clips(folder):
    """(N, 3, 16, H, W) -1..1 as they are decoded"""
    parts = []
    for path in sorted(folder.glob("*.mp4")):
        with av.open(str(path)) as video:
            pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
        parts += [pictures[i : i + 16] for i in range(0, len(pictures) - 15, 16)]
    return torch.from_numpy(np.stack(parts)).movedim(-1, 1).float() / 127.5 - 1


def numbers(said: str, name: str) -> dict[str, float]:
    """By folder."""
    lines = [line for line in said.splitlines() if f"{name} " in line and "Not computed" not in line]
    return {line.split(":")[0].split("/")[-1]: float(line.split(f"{name} ")[1].split()[0]) for line in lines}


def test_fvd_is_frechets_distance_of_the_clips(tmp_path, capsys):
    write_i3d(tmp_path / "models")
    real, same = videos(tmp_path / "real", range(4)), videos(tmp_path / "same", range(4))
    made = videos(tmp_path / "made", range(4, 9), brightness=20)
    run(real, [same, made], tmp_path / "models")
    said = capsys.readouterr().out
    assert (
        "real: 8 clips of 16" in said
        and "(10 clips of 16, too few to trust: they should be more than 400)" in said
    )
    assert "Not computed: FID. Put https://github.com/toshas" in said

    resized = (torch.nn.functional.interpolate(clips(f), (16, 224, 224)) for f in (real, made))
    a, b = (StandIn()(x.contiguous(), False, False, True).double().numpy() for x in resized)
    covariances = np.cov(a.T), np.cov(b.T)
    mixed = sqrtm(covariances[0] @ covariances[1]).real
    truth = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * mixed)
    fvd = numbers(said, "FVD")
    assert fvd["made"] == pytest.approx(truth, rel=0.03) and truth > 1
    assert fvd["same"] == pytest.approx(0, abs=0.01)


def test_fid_tells_a_bright_set_from_the_real_one(tmp_path, capsys, monkeypatch):
    write_inception(tmp_path / "models", monkeypatch)
    monkeypatch.setattr("pack.tools.evaluate_sets.CLIP", 3)
    monkeypatch.setattr("test_evaluate_sets.LENGTH", 6)
    real, bright = videos(tmp_path / "real", [0]), videos(tmp_path / "bright", [0], brightness=60)
    assert main([str(real), str(real), str(bright), "--models", str(tmp_path / "models")]) == 0
    said = capsys.readouterr().out
    fid = numbers(said, "FID")
    assert "real: 6 pictures" in said and fid["real"] == pytest.approx(0, abs=0.01) and fid["bright"] > 1


def test_a_damaged_video_is_named_and_a_short_one_has_no_clip(tmp_path, capsys):
    write_i3d(tmp_path / "models")
    real = videos(tmp_path / "real", range(2))
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "broken.mp4").write_bytes(b"no video")
    run(real, [tmp_path / "made"], tmp_path / "models")
    said = capsys.readouterr().out
    assert "broken.mp4 is left out from here on: The video cannot be read" in said
    assert "no FVD, which takes two clips of 16 at least" in said


def test_folders_and_weights_are_asked_for_first(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    real = videos(tmp_path / "real", [0])
    for real_folder, made, said in (
        (empty, real, "empty holds no video"),
        (real, real, "Nothing can be computed"),
    ):
        with pytest.raises(SystemExit, match=said):
            main([str(real_folder), str(made), "--models", str(tmp_path / "models")])
    with pytest.raises(SystemExit, match="No such file|cannot find"):
        main([str(tmp_path / "nothing"), str(real), "--models", str(tmp_path / "models")])
    write_i3d(tmp_path / "models")
    (tmp_path / "models" / "i3d" / "i3d_torchscript.pt").write_text("<html>")
    with pytest.raises(SystemExit, match="i3d_torchscript.pt is damaged or no TorchScript"):
        main([str(real), str(real), "--models", str(tmp_path / "models")])


def test_a_clip_is_seen_as_i3d_was_taught(tmp_path):
    write_i3d(tmp_path / "models")
    distance = VideoDistance(tmp_path / "models" / "i3d" / "i3d_torchscript.pt")
    seen = []
    distance.metric.inception.forward = lambda x: seen.append(x) or torch.zeros(1, 400)
    distance.add(torch.zeros(16, 3, 32, 48, dtype=torch.uint8), True)
    distance.add(torch.zeros(15, 3, 32, 48, dtype=torch.uint8), True)
    (clip,) = seen
    assert clip.shape == (1, 3, 16, 224, 224) and (clip + 1).abs().max() < 1e-5
