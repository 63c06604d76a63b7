"""Members whose code is otherwise: with a fault in it, or slower at one place."""

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def altered(tmp_path: Path, code: str) -> dict[str, str]:
    """The environment of a member whose processes run this code before anything else."""
    path = tmp_path / "altered"
    path.mkdir()
    (path / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": f"{path}{os.pathsep}{_ROOT}"}
