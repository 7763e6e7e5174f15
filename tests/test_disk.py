"""What takes the place of a file, and who may hold it up."""

import os

import pytest
from pack.vexpress.comfyui import disk


@pytest.fixture
def busy(monkeypatch):
    """Windows, with a virus scanner at the file for so many tries."""

    def for_tries(number: int) -> None:
        tries, replace = iter(range(number)), os.replace

        def busy_at_first(new, path):
            if next(tries, None) is not None:
                raise PermissionError(13, "The file is used by another process", str(path))
            replace(new, path)

        monkeypatch.setattr(disk, "ON_WINDOWS", True)
        monkeypatch.setattr(disk.os, "replace", busy_at_first)
        monkeypatch.setattr(disk.time, "sleep", lambda seconds: None)

    return for_tries


def test_a_scanner_may_have_the_file_open_for_a_moment(tmp_path, busy):
    busy(3)
    new, path = tmp_path / "new", tmp_path / "file"
    new.write_text("new")
    path.write_text("old")
    disk.replace(new, path)
    assert path.read_text() == "new"


def test_but_not_for_ever(tmp_path, busy, monkeypatch):
    busy(10**9)
    monkeypatch.setattr(disk, "PATIENCE", -1.0)
    with pytest.raises(PermissionError):
        disk.replace(tmp_path / "new", tmp_path / "file")


def test_elsewhere_a_refusal_is_final(tmp_path, busy, monkeypatch):
    busy(1)
    monkeypatch.setattr(disk, "ON_WINDOWS", False)
    with pytest.raises(PermissionError):
        disk.replace(tmp_path / "new", tmp_path / "file")
