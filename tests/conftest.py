"""Makes the repository importable as `pack`, so that its `nodes/` never hides ComfyUI's `nodes.py`."""

import sys
import types
from pathlib import Path

pack = types.ModuleType("pack")
pack.__path__ = [str(Path(__file__).parents[1])]
sys.modules["pack"] = pack
