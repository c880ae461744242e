"""A host with systemd: this machine's own, booted in namespaces, on a root that nothing is left of.

What runs there is the real thing: process 1, units, timers, control groups, sandboxes. Only the
network is loopback alone. Where a machine cannot do that, `missing` says why.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.fix_stead import CHECKOUT

SCRIPT = Path(__file__).with_name("boot.sh")
PROGRAMS = ("unshare", "nsenter", "pivot_root", "systemctl", "systemd-sysusers")
SYSTEMD = Path("/lib/systemd/systemd")


def missing() -> str:
    """Say why no systemd can be booted here; empty where one can."""
    if os.geteuid() != 0:
        return "booting systemd in namespaces needs root"
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent or not SYSTEMD.exists():
        return f"missing on this machine: {', '.join(absent) or SYSTEMD}"
    if " cgroup2 " not in Path("/proc/mounts").read_text():
        return "no control groups of version 2 are mounted"
    return ""


@dataclass(frozen=True)
class Host:
    """A host that was booted."""

    init: int  # process 1, as it is numbered here

    def run(self, *words: str, status: int | None = 0, timeout: float = 300) -> str:
        """Run a command as root of the host; return what it said."""
        done = subprocess.run(
            ["nsenter", f"--target={self.init}", "--all", "--", *words],
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True, text=True, check=False, timeout=timeout, cwd="/",
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        told = f"{done.stdout}{done.stderr}"
        assert status is None or done.returncode == status, f"{words}: {told[-4000:]}"
        return told

    def shell(self, script: str, *, status: int | None = 0, timeout: float = 300) -> str:
        """Run a script."""
        return self.run("bash", "-euc", script, status=status, timeout=timeout)


@contextmanager
def booted() -> Iterator[Host]:
    """Boot a host; it and all that runs on it are gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="pgst-host-", dir="/tmp"))
    for name in ("root", "layers"):
        (place / name).mkdir()
    with (place / "log").open("w") as log:
        outer = subprocess.Popen(
            [str(SCRIPT), str(place), "outside", str(CHECKOUT)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
        )  # fmt: skip
    try:
        yield _when_up(outer, place)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(outer.pid, signal.SIGKILL)
        outer.wait(30)
        _remove_group(place)
        shutil.rmtree(place, ignore_errors=True)


def _when_up(outer: subprocess.Popen[bytes], place: Path) -> Host:
    end = time.monotonic() + 120
    while True:
        told = (place / "log").read_text()
        assert outer.poll() is None, f"the host did not boot: {told[-3000:]}"
        assert time.monotonic() < end, f"the host did not come up: {told[-3000:]}"
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/comm").read_text().strip() == "systemd":
            host = Host(int(children[0]))
            state = host.run("systemctl", "is-system-running", status=None).strip()
            if state in {"running", "degraded"}:
                return host
        time.sleep(0.2)


def _remove_group(place: Path) -> None:
    """Remove the control groups, deepest first; a process may take a moment to be gone."""
    try:
        group = Path((place / "group").read_text().strip())
    except OSError:
        return
    end = time.monotonic() + 120
    while group.is_dir() and time.monotonic() < end:
        below = sorted(group.rglob("*"), key=lambda path: len(path.parts), reverse=True)
        for path in [*(p for p in below if p.is_dir()), group]:
            with suppress(OSError):
                path.rmdir()
        time.sleep(0.1)
