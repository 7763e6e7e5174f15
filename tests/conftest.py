"""Makes the repository importable as `pack`, so that its `nodes/` never hides ComfyUI's `nodes.py`."""

import sys
import types
from pathlib import Path

import pytest

pack = types.ModuleType("pack")
pack.__path__ = [str(Path(__file__).parents[1])]
sys.modules["pack"] = pack

SERVERS = ("troubled", "server")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Of several workers, one runs all tests that share a server, and all others of a file."""
    for item in items:
        shared = [name for name in SERVERS if name in item.fixturenames]
        item.add_marker(pytest.mark.xdist_group((shared or [item.path.stem])[0]))
