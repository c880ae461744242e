"""The real program, as a shell would start it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from pgstead.cli.main import main


@dataclass(frozen=True)
class Said:
    """What one run of the program said, and how it left."""

    status: int
    out: str
    err: str


def pgstead(
    *arguments: str,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Said:
    """Run `pgstead` in a directory, without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "pgstead", *arguments],
        cwd=directory,
        env={**os.environ, "COLUMNS": "80", **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def inside(*arguments: str, directory: Path) -> Said:
    """Run the same in this process, where to start one would be most of the work."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(directory), redirect_stdout(out), redirect_stderr(err):
        status = main(arguments)
    return Said(status, out.getvalue(), err.getvalue())
