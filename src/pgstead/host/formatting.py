"""Python files that are written for people: formatted as they format theirs, if they do."""

from __future__ import annotations

import subprocess
from pathlib import Path


def format_file(path: Path, python: str) -> bool:
    """Format a file by the ruff of an environment, with the rules of the place it lies in.

    Return whether that was done: who has no ruff formats by hand.
    """
    command = [python, "-m", "ruff", "format", "--quiet", str(path)]
    try:
        done = subprocess.run(
            command, cwd=path.parent, capture_output=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
