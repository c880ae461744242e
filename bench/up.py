"""`pgstead up`, cold and warm, against the floor; start of the command; idle memory.

    python bench/up.py MANIFEST_DIRECTORY [--rounds 3]

The manifest directory is copied; ports are picked free; the binaries are fetched before the
clock starts, because a download measures the network.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import floor

PGSTEAD = [sys.executable, "-m", "pgstead"]


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pgstead(directory: Path, *arguments: str) -> tuple[float, str]:
    """Run pgstead in a directory; return seconds and stdout."""
    began = time.perf_counter()
    done = subprocess.run(
        [*PGSTEAD, *arguments], cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 3):
        raise SystemExit(f"pgstead {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return time.perf_counter() - began, done.stdout


def copy(source: Path, toolchain: Path | None) -> Path:
    """Copy a manifest and its systems beside free ports, sharing binaries already fetched."""
    target = Path(tempfile.mkdtemp(prefix="pgst-"))
    target.chmod(0o755)
    text = (source / "pgstead.toml").read_text()
    text = re.sub(r"^port = \d+", lambda _: f"port = {free_port()}", text, flags=re.MULTILINE)
    (target / "pgstead.toml").write_text(text)
    for name in ("systems",):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
    if toolchain and toolchain.is_dir():
        (target / ".pgstead").mkdir(mode=0o755)
        shutil.copytree(toolchain, target / ".pgstead" / "toolchain", symlinks=True)
    return target


def memory(state: Path) -> float:
    """Return the proportional set size of every process of a stead, in MB."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or not _belongs(entry, str(state)):
            continue
        try:
            rollup = (entry / "smaps_rollup").read_text()
        except OSError:
            continue
        found = re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)
        total += int(found.group(1)) if found else 0
    return total / 1024


def _belongs(entry: Path, state: str) -> bool:
    try:
        words = (entry / "cmdline").read_bytes().decode(errors="replace")
        here = str((entry / "cwd").readlink())
    except OSError:
        return False
    return state in words or here.startswith(state)


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument(
        "--toolchain", type=Path, help="binaries already fetched (a state's toolchain)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    floors: list[float] = []
    cold: list[float] = []
    warm: list[float] = []
    helps: list[float] = []
    idle: list[float] = []
    for number in range(asked.rounds):
        print(f"round {number + 1} ...", file=sys.stderr)
        directory = copy(asked.manifest, asked.toolchain)
        try:
            pgstead(directory, "doctor", "--fix")
            told = json.loads(pgstead(directory, "doctor", "--json")[1])
            floors.append(floor.seconds(Path(told["bindir"])))
            cold.append(pgstead(directory, "up")[0])
            warm += [pgstead(directory, "up")[0] for _ in range(3)]
            helps += [pgstead(directory, "--help")[0] for _ in range(5)]
            time.sleep(5)
            idle.append(memory(Path(told["state"])))
        finally:
            pgstead(directory, "destroy", "--yes")
            shutil.rmtree(directory, ignore_errors=True)
    _report(floors, cold, warm, helps, idle, as_json=asked.json)


def _report(
    floors: list[float],
    cold: list[float],
    warm: list[float],
    helps: list[float],
    idle: list[float],
    *,
    as_json: bool,
) -> None:
    median = statistics.median
    base = median(floors)
    rows = [
        ("floor: initdb, start, first query", base, "s", 1.0),
        ("cold up", median(cold), "s", median(cold) / base),
        ("warm up, nothing to change", median(warm), "s", median(warm) / base),
        ("pgstead --help", median(helps), "s", median(helps) / base),
        ("idle memory (PSS of everything)", median(idle), "MB", None),
    ]
    if as_json:
        print(
            json.dumps(
                [dict(zip(("what", "median", "unit", "ratio"), r, strict=True)) for r in rows]
            )
        )
        return
    for what, value, unit, ratio in rows:
        beside = "" if ratio is None else f"{ratio:8.2f} x floor"
        print(f"{what:<36}{value:10.3f} {unit:<3}{beside}")


if __name__ == "__main__":
    main()
