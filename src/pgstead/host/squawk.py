"""squawk as a program: https://squawkhq.com."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgstead.errors import HostError
from pgstead.model.revision import Remark

_LONGEST = 60.0  # seconds; 200 files take one
_MANY = 500  # files of one call: the length of a command line is bounded


class Squawk:
    """The program that came with the wheel, or the one on the PATH."""

    def version(self) -> str | None:
        """Return its version; None where there is none (no wheel for musl)."""
        program = _program()
        if program is None:
            return None
        return _call([program, "--version"], Path.cwd()).split()[-1]

    def remarks(
        self, sheets: Mapping[str, str], *, major: int, transactional: bool
    ) -> tuple[Remark, ...]:
        """Return what it says about some texts by file name. Raises HostError."""
        program = _program()
        if program is None or not sheets:
            return ()
        command = [program, "--reporter", "json", "--pg-version", f"{major}.0"]
        command += ["--assume-in-transaction"] if transactional else []
        names = [*sheets]
        with tempfile.TemporaryDirectory(prefix="pgstead-lint-") as folder:
            for name, text in sheets.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            # a configuration of the user's own must not decide what we are told
            (Path(folder) / ".squawk.toml").write_text("", encoding="utf-8")
            said = [
                _call([*command, *names[start : start + _MANY]], Path(folder))
                for start in range(0, len(names), _MANY)
            ]
        return tuple(_remark(each) for text in said for each in json.loads(text or "[]"))


def _program() -> str | None:
    beside = Path(sys.executable).parent / "squawk"
    return str(beside) if beside.is_file() else shutil.which("squawk")


def _call(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_LONGEST, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(
            f"running squawk failed: {error}", hint="--no-squawk goes without"
        ) from error
    if done.returncode not in {0, 1}:  # 1: something was found
        words = " ".join(done.stderr.split()) or "no output"
        raise HostError(
            f"squawk ended with status {done.returncode}: {words}", hint="--no-squawk goes without"
        )
    return done.stdout


def _remark(told: Mapping[str, Any]) -> Remark:
    return Remark(
        file=Path(str(told["file"])).name,
        line=int(told["line"]),
        rule=str(told["rule_name"]),
        message=str(told["message"]),
        advice=str(told["help"] or ""),
    )
