"""Programs that are run to their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pgstead.host import programs

TELLS = """
import os, pathlib, sys
group = pathlib.Path("/proc/self/autogroup")
print(os.nice(0), os.getsid(0) == os.getpid(), group.read_text() if group.exists() else "nice 19")
sys.exit(3)
"""
CAUGHT = """
import pathlib, signal, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"])
pathlib.Path("ready").touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    pathlib.Path("said").write_text(f"interrupted {child.wait(5)}")
    sys.exit(1)
"""


def gently(directory: Path, code: str, timeout: float = 60) -> programs.Outcome:
    return programs.run_gently(
        [sys.executable, "-c", code],
        environment={},
        directory=str(directory),
        timeout=timeout,
    )


def test_what_runs_gently_has_the_lowest_weight_within_its_session_and_beside_others(
    tmp_path: Path,
) -> None:
    done = gently(tmp_path, TELLS)
    assert done.status == 3
    nice, leads, group = done.out.split(maxsplit=2)
    assert (nice, leads) == ("19", "True")
    if os.access("/proc/self/autogroup", os.W_OK):
        assert group.strip().endswith("nice 19")


def test_what_takes_too_long_is_interrupted_and_told(tmp_path: Path) -> None:
    done = gently(tmp_path, CAUGHT, timeout=2)
    assert done.status == 124
    assert "no answer within 2 s" in done.err
    assert (tmp_path / "said").read_text() == f"interrupted {-signal.SIGINT}"


@pytest.mark.parametrize("deaf", [False, True], ids=["it listens", "it is deaf"])
def test_a_ctrl_c_is_passed_on_to_all_that_was_started(tmp_path: Path, *, deaf: bool) -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" * deaf + CAUGHT
    outer = textwrap.dedent(f"""
        import sys
        from pgstead.host import programs
        programs._SECONDS_TO_END = 0.5 if {deaf} else 20
        programs.run_gently([sys.executable, "-c", {code!r}], environment={{}},
                            directory={str(tmp_path)!r}, timeout=60)
    """)
    with subprocess.Popen([sys.executable, "-c", outer], stderr=subprocess.PIPE) as running:
        while not (tmp_path / "ready").exists():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    assert (tmp_path / "said").exists() is not deaf
