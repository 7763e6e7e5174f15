import sys
from pathlib import Path

import pytest
from pack import dev


@pytest.fixture
def steps(monkeypatch) -> list[str]:
    """The long steps that were run, with nothing really built."""
    done = []

    def pretend(step: str, command: list, log: Path) -> None:
        done.append(step)
        if "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(dev, "run_quietly", pretend)
    return done


def test_an_environment_is_built_once_and_again_if_it_was_interrupted(tmp_path, steps):
    (tmp_path / "requirements.txt").write_text("torch\n")
    python = dev.ensure_environment(tmp_path, tmp_path)
    assert len(steps) == 2
    dev.ensure_environment(tmp_path, tmp_path)
    assert len(steps) == 2
    (python.parents[1] / "complete").unlink()
    dev.ensure_environment(tmp_path, tmp_path)
    assert len(steps) == 4


def test_other_requirements_get_another_environment(tmp_path, steps):
    (tmp_path / "requirements.txt").write_text("torch\n")
    first = dev.ensure_environment(tmp_path, tmp_path)
    (tmp_path / "requirements.txt").write_text("torch==2.11.0\n")
    assert dev.ensure_environment(tmp_path, tmp_path) != first


def test_only_one_run_sets_up(tmp_path):
    with dev.only_one_at_a_time(tmp_path / "lock", "waiting"), open(tmp_path / "lock", "a+b") as other:
        assert not dev._try_lock(other)


def test_a_failing_step_shows_its_last_lines(tmp_path):
    command = [sys.executable, "-c", "print('no room left'); raise SystemExit(1)"]
    with pytest.raises(dev.SetupError, match=r"Installing: it failed.*\n  no room left"):
        dev.run_quietly("Installing", command, tmp_path / "log")


def test_an_unreachable_index_is_named_as_the_cause(tmp_path):
    command = [sys.executable, "-c", "print('NewConnectionError: refused'); raise SystemExit(1)"]
    with pytest.raises(dev.SetupError, match="the package index cannot be reached"):
        dev.run_quietly("Fetching", command, tmp_path / "log")


def test_comfyui_path_must_hold_comfyui(tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(dev.SetupError, match="has no main.py"):
        dev.ensure_comfyui(tmp_path)
