import json
from pathlib import Path

import pytest
from pack.vexpress.training.config import load_config

GOOD = {"stage": 1, "start": "start", "data": "data", "output": "run", "steps": 10}


def config_file(folder: Path, values: dict) -> Path:
    path = folder / "train.json"
    path.write_text(json.dumps(values))
    return path


def test_folders_are_relative_to_the_config(tmp_path):
    config = load_config(config_file(tmp_path, GOOD))
    assert config.start == str(tmp_path / "start") and config.output == str(tmp_path / "run")


def test_what_a_run_starts_from_is_relative_too(tmp_path):
    values = {**GOOD, "start_unet": "sd15", "start_motion": "mm.ckpt"}
    del values["start"]
    config = load_config(config_file(tmp_path, values))
    assert config.start is None
    assert (config.start_unet, config.start_motion) == (str(tmp_path / "sd15"), str(tmp_path / "mm.ckpt"))


@pytest.mark.parametrize(
    "values", [{"start_unet": "sd15", "start_motion": "mm.ckpt"}, {"start_motion": "mm.ckpt"}]
)
def test_a_run_starts_from_one_thing(values, tmp_path):
    with pytest.raises(ValueError, match="^A run needs either start, or start_unet and start_motion.$"):
        load_config(config_file(tmp_path, GOOD | values))


def test_the_learning_rate_warms_up_and_goes_down_to_its_share(tmp_path):
    values = {"steps": 100, "learning_rate": 1e-3, "warm_up": 4, "final_rate": 0.1}
    config = load_config(config_file(tmp_path, GOOD | values))
    rates = [config.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.25e-3)
    assert rates[:4] == sorted(rates[:4]) and rates[3:] == sorted(rates[3:], reverse=True)
    assert (rates[49] + rates[50]) / 2 == pytest.approx(0.55e-3)  # half-way down a cosine
    assert rates[99] == pytest.approx(0.1e-3)


def test_the_learning_rate_stays_where_no_final_one_is_set(tmp_path):
    config = load_config(config_file(tmp_path, GOOD | {"learning_rate": 1e-3}))
    assert {config.rate(step) for step in range(10)} == {1e-3}


def test_a_stage_brings_its_habits_and_a_config_may_change_them(tmp_path):
    habits = load_config(config_file(tmp_path, GOOD | {"stage": 2, "clips": 4, "drop_kps": 0.0})).habits
    assert (habits.frames, habits.clips, habits.rates.kps, habits.rates.everything) == (20, 4, 0.0, 0.1)


@pytest.mark.parametrize(
    "values, said",
    [
        ({"learning_rat": 1}, "has learning_rat, which no run knows: is learning_rate meant?"),
        ({"stage": 4}, "stage is 4; it must be 1, 2 or 3."),
        ({"steps": 2.5}, "steps is 2.5; it must be a whole number."),
        ({"steps": True}, "steps is True; it must be a whole number."),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be a number."),
        ({"learning_rate": 0}, "learning_rate is 0; it must be above 0."),
        ({"ema_decay": 1}, "ema_decay is 1; it must be from 0 to below 1."),
        ({"precision": "fp8"}, "precision is fp8; it must be float32 or bfloat16."),
        ({"drop_everything": 0.9, "drop_kps": 0.2}, "must be shares of 1 in all."),
        ({"lip_weight": float("inf")}, "lip_weight is inf; it must be a finite number."),
        ({"final_rate": 1.5}, "final_rate is 1.5; it must be from 0 to 1."),
        ({"checkpointing": "yes"}, "checkpointing is 'yes'; it must be true or false."),
        ({"tensorboard": 1}, "tensorboard is 1; it must be true or false."),
        ({"processes": 0}, "processes is 0; it must be 1 or more."),
        ({"prefetch": -1}, "prefetch is -1; it must be 0 or more."),
        ({"start": 3}, "start is 3; it must be text."),
        ({"data": None}, "data is None; it must be text."),
    ],
)
def test_a_config_that_is_wrong_says_where(values, said, tmp_path):
    with pytest.raises(ValueError) as error:
        load_config(config_file(tmp_path, GOOD | values))
    assert said in str(error.value)


def test_shares_that_are_all_of_the_clips_may_be_rounded(tmp_path):
    rates = {"drop_everything": 0.05, "drop_reference": 0.55, "drop_kps": 0.3, "drop_both": 0.1}
    assert sum(rates.values()) > 1
    assert load_config(config_file(tmp_path, GOOD | rates)).habits.rates == tuple(rates.values())


def test_a_config_that_lacks_something_says_what(tmp_path):
    with pytest.raises(ValueError, match="lacks data, steps."):
        load_config(config_file(tmp_path, {"stage": 1, "start": "a", "output": "b"}))


def test_a_config_of_a_windows_editor_is_read(tmp_path):
    path = config_file(tmp_path, GOOD)
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert load_config(path).steps == 10
    path.write_text(path.read_text("utf-8-sig"), encoding="utf-16")
    with pytest.raises(ValueError, match=r"train\.json is no JSON in UTF-8: "):
        load_config(path)
