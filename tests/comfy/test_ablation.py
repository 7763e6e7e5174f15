"""Whether staging matters: the whole comparison at a scale where nothing is learnt, but everything runs."""

import csv

import pytest
import torch
from pack.tools import ablation, ablation_table, talker_score
from pack.tools.ablation import Bench, Row, close_picture, close_up
from pack.tools.talker import unpack_shipped
from pack.vexpress.training import drawn
from pack.vexpress.training.clips import Sample
from pack.vexpress.training.drawn import HELD_OUT
from pack.vexpress.training.faces import Drawn
from safetensors.torch import load_file, save_file


@pytest.fixture
def small(monkeypatch):
    for name, value in {"PEOPLE": 4, "VOICES": 4, "TEST_CLIPS": 3, "STEPS": 2, "CLIPS": 2}.items():
        monkeypatch.setattr(ablation, name, value)
    monkeypatch.setattr(ablation, "STAGES", {1: (2, 1), 2: (1, 8), 3: (1, 8)})
    for name, value in {"RULER_STEPS": 2, "RULER_BATCH": 8, "LIKENESS_PEOPLE": 3}.items():
        monkeypatch.setattr(talker_score, name, value)
    with torch.inference_mode(False):
        yield


def test_joint_and_staged_runs_are_compared_after_equal_images_and_after_equal_time(small, tmp_path):
    unpack_shipped(tmp_path / "talker")
    bench = Bench(tmp_path / "talker", tmp_path)
    staged = Row("staged", 0.15, 3.0, 1)
    bench.run(staged)
    bench.run(staged._replace(training="joint"))
    with open(tmp_path / "ablation.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["equal"] for row in rows[:1]] == ["both"] and len(rows) == 3
    assert {row["equal"] for row in rows[1:]} == {"images", "time"}
    both, joint = int(rows[0]["images"]), {row["equal"]: int(row["images"]) for row in rows[1:]}
    assert both == 2 * (2 * 1 + 8 + 8) and both <= joint["images"] < both + 16
    assert joint["time"] == 2 * 8 * 3  # steps of 0.6, 0.6, 0.71 and 1
    assert all(torch.tensor(float(row[key])).isfinite() for row in rows for key in ("gap", "mouth", "kps"))

    again = Bench(tmp_path / "talker", tmp_path)  # nothing is filmed, learnt or measured anew
    for row in (staged, staged._replace(training="joint")):
        again.run(row)
    assert len((tmp_path / "ablation.csv").read_text().splitlines()) == 4


def test_who_is_tested_is_not_who_was_learnt_from(small, tmp_path, monkeypatch):
    met, heard, draw, voice = [], [], drawn.identity, drawn.voice_of
    monkeypatch.setattr(drawn, "identity", lambda seed: met.append(seed) or draw(seed))
    monkeypatch.setattr(drawn, "voice_of", lambda seed, seconds: heard.append(seed) or voice(seed, seconds))
    unpack_shipped(tmp_path / "talker")
    Bench(tmp_path / "talker", tmp_path)
    learnt, by_the_ruler, tested = met[:4], met[4:-3], met[-3:]
    assert max(learnt) < HELD_OUT <= min(tested) and not {*tested} & {*by_the_ruler}
    assert max(heard[:4]) < HELD_OUT <= min(heard[4:]) and len(heard) == 7


def test_a_close_up_keeps_points_where_they_are_seen():
    latents = torch.arange(16.0 * 16).view(1, 1, 16, 16).expand(2, 4, 16, 16)
    points = torch.tensor([[48.0, 60.0]]).expand(2, 3, 2)
    clip = Sample(
        latents, latents[0], points, torch.zeros(2, 10, 8), torch.tensor([[54.0, 82.0, 74.0, 92.0]] * 2)
    )
    close = close_up(clip)
    assert close.latents.shape == (2, 4, 8, 8) and close.latents[0, 0, 0, 0] == 5 * 16 + 4
    assert close.kps[0, 0].tolist() == [16, 20] and close.lips[0].tolist() == [22, 42, 42, 52]

    class Same:
        encode = staticmethod(lambda images: torch.nn.functional.avg_pool2d(images, 8))
        decode = staticmethod(lambda latents: latents)

    seen = close_picture(Drawn(torch.rand(2, 3, 128, 128), points, clip.lips), Same)
    assert seen.images.shape == (2, 3, 8, 8) and torch.equal(seen.kps, close.kps)


def test_the_table_gives_the_mean_of_the_seeds_and_how_far_apart_they_lie(tmp_path):
    measured = [
        "joint,0,1,1,time,9,0,0,2,0.5",
        "joint,0,3,1,time,9,0.01,0.1,2,0.5",
        "staged,0.15,3,1,both,9,0.05,0.2,1.5,0.25",
        "staged,0.15,3,2,both,9,0.15,0.4,2.5,0.75",
    ]
    (tmp_path / "ablation.csv").write_text("\n".join([",".join(ablation.COLUMNS), *measured]))
    assert ablation_table.table(tmp_path / "ablation.csv") == [
        "| training | dropout | lip weight | seeds | gap | mouth r | V-Kps, px | person |",
        "|---|---|---|---|---|---|---|---|",
        "| staged | 15 % | 3 | 2 | 10.0 % (5.0 % to 15.0 %) | 0.30 (0.20 to 0.40) | 2.00 (1.50 to 2.50) | 50 % (25 % to 75 %) |",
        "| joint, equal time | 0 % | 3 | 1 | 1.0 % | 0.10 | 2.00 | 50 % |",
        "| joint, equal time | 0 % | 1 | 1 | 0.0 % | 0.00 | 2.00 | 50 % |",
    ]


def test_people_filmed_with_another_talker_are_not_mixed_in(small, tmp_path):
    unpack_shipped(tmp_path / "talker")
    Bench(tmp_path / "talker", tmp_path)
    decoder = load_file(tmp_path / "talker" / "decoder.safetensors")
    save_file(
        {key: weight * 1.01 for key, weight in decoder.items()}, tmp_path / "talker" / "decoder.safetensors"
    )
    with pytest.raises(SystemExit, match="people holds people filmed with another talker"):
        Bench(tmp_path / "talker", tmp_path)


def test_a_ruler_that_saw_other_pictures_is_taught_anew(small, tmp_path, monkeypatch):
    taught = []
    monkeypatch.setattr("pack.vexpress.training.ruler.calibrate", lambda *_: taught.append(True))

    def look(drawn: Drawn) -> talker_score.Seen:
        return talker_score.Seen(drawn.images, drawn.kps)

    for seen_by in ("one", "one", "other"):
        talker_score.taught_measures(tmp_path / "ruler.safetensors", talker_score.SIZE, look, seen_by)
    assert len(taught) == 2
