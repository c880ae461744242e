"""Prometheus and promtool as Debian has them: fetched as data, once, and never installed.

Nothing named here may be skipped in CI, so nobody has to have them on PATH.
"""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

from pgstead.host import debian
from pgstead.model.layout import Layout
from tests.fix_stead import cache_directory, locked

PROGRAMS = ("prometheus", "promtool")


def programs() -> Path:
    """Return the directory of both, fetched into the cache beside the other binaries."""
    place = cache_directory() / "prometheus"
    with locked(cache_directory() / "prometheus.lock"):
        found = next(iter(place.glob("toolchain/prometheus/*/usr/bin/promtool")), None)
        if found is not None:
            return found.parent
        layout = Layout(PurePosixPath(place), PurePosixPath(place))
        return debian.fetch_programs("prometheus", ["prometheus"], PROGRAMS, layout)


def promtool(place: Path, *words: str, timeout: float = 120) -> str:
    """Run promtool in a directory; it has to be content. Return what it says."""
    done = subprocess.run(
        [programs() / "promtool", *words],
        cwd=place, capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
