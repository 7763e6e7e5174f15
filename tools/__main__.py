"""Runs one tool, `python tools demo …`, with the repository importable as `pack` (see tests/conftest.py)."""

import importlib
import sys
import types
from pathlib import Path

pack = types.ModuleType("pack")
pack.__path__ = [str(Path(__file__).parents[1])]
sys.modules["pack"] = pack
sys.path.pop(0)  # tools/server.py must not hide ComfyUI's server.py

tool = importlib.import_module(f"pack.tools.{sys.argv[1]}")
sys.exit(tool.main(sys.argv[2:]))
