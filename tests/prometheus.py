"""Prometheus and promtool as Debian has them: fetched as data, once, and never installed.

Nothing named here may be skipped in CI, so nobody has to have them on PATH.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from pgstead.host import debian
from pgstead.model.layout import Layout
from tests.fix_stead import cache_directory, locked
from tests.free_ports import free_ports

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


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        told = answer.json()
        assert told["status"] == "success", told
        return told["data"]

    def value(self, query: str) -> float | None:
        """Return the value of the first series that a query gives."""
        found = self.ask("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None


@contextmanager
def prometheus(place: Path, config: str) -> Iterator[Prometheus]:
    """Run one with a configuration that lies in a directory."""
    (port,) = free_ports(1)
    log = place / "prometheus.log"
    with log.open("w") as output:
        running = subprocess.Popen(
            [
                programs() / "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={place / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=place, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        _wait(f"http://127.0.0.1:{port}", running, log)
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        running.terminate()
        running.wait(30)


def _wait(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{url}/-/ready", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert running.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        time.sleep(0.1)
