"""What is wrong around a stead: each is told, nothing crashes, what is unknown is not 0."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from pgstead.catalog.alert_rules import BY_NAME
from pgstead.model.alerts import Phase
from tests.fix_stead import LiveStead
from tests.live.alerts.conftest import Alerted
from tests.live.alerts.faults import does, unprivileged
from tests.live.telemetry.seen import after, health, health_with, newest
from tests.live.telemetry.service_faults import secret
from tests.live.telemetry.test_health_under_faults import OF_THE_MACHINE, well
from tests.waiting import until

STATISTICS = "DROP EXTENSION pg_stat_statements"
BROKEN = (
    ("disk = { warning = 0.9, critical = 0.8 }", "telemetry.thresholds.disk.critical"),
    ("dusk = { warning = 0.9 }", "telemetry.thresholds.dusk"),
    ('disk = { warning = "much" }', "telemetry.thresholds.disk.warning"),
    ("disk = { warning = nan }", "telemetry.thresholds.disk.warning"),
    ("disk = { warning = 0.5, hysteresis = 2 }", "telemetry.thresholds.disk.hysteresis"),
)


@contextmanager
def no_extension(stead: LiveStead) -> Iterator[None]:
    does(stead, STATISTICS)
    try:
        yield
    finally:
        does(stead, "CREATE EXTENSION pg_stat_statements")


def no_password(stead: LiveStead) -> AbstractContextManager[None]:
    return secret(stead, stead.wired.design.monitor_role, None)


def garbled_password(stead: LiveStead) -> AbstractContextManager[None]:
    return secret(stead, stead.wired.design.monitor_role, "two\nlines")


@contextmanager
def no_login(stead: LiveStead) -> Iterator[None]:
    role = stead.wired.design.monitor_role
    does(
        stead,
        f"ALTER ROLE {role} NOLOGIN",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'",
    )
    try:
        yield
    finally:
        does(stead, f"ALTER ROLE {role} LOGIN")


HIDDEN = ("connections", "idle_in_transaction", "transaction_age", "statement_age", "blocked")


@pytest.mark.parametrize(
    ("happens", "checks", "says"),
    [
        pytest.param(unprivileged, HIDDEN, "pg_read_all_stats", id="rights"),
        pytest.param(no_password, ("server", *HIDDEN), "password", id="no password"),
        pytest.param(garbled_password, ("server",), "password", id="garbled password",
                     marks=pytest.mark.soak),
        pytest.param(no_login, ("server", *HIDDEN), "log in", id="no login",
                     marks=pytest.mark.soak),
    ],
)  # fmt: skip
def test_what_the_monitor_may_not_see_is_unknown_with_its_reason_and_never_0(
    faulty: Alerted,
    happens: Callable[[LiveStead], AbstractContextManager[None]],
    checks: tuple[str, ...],
    says: str,
) -> None:
    well(faulty.stead)
    with happens(faulty.stead):
        for name in checks:
            told = health_with(faulty.stead, 200, name, "unknown")
            assert told["checks"][name]["value"] is None
            assert says in told["checks"][name]["reason"]
            assert str(faulty.stead.directory) not in told["checks"][name]["reason"]
        shown = metrics(faulty.stead)
        assert "pg_connections_used " not in shown
        assert "pg_idle_in_transaction_max_seconds " not in shown
        # that we may not look does not mean that it is down; a look that took too long does
        until(lambda: "pg_up 0" not in metrics(faulty.stead), "metrics of a server that is up")
    well(faulty.stead)


def metrics(stead: LiveStead) -> str:
    return httpx.get(f"http://127.0.0.1:{stead.api_port}/metrics", timeout=60).text


def test_an_extension_that_is_missing_is_the_reason_of_what_it_would_tell(
    faulty: Alerted,
) -> None:
    place = (("datname", "jeex_idea"),)
    with no_extension(faulty.stead):
        found = after(faulty.stead)[("pg_stat_statements_calls_total", place)]
        assert found.value is None
        assert "extension" in found.reason
        until(lambda: health(faulty.stead).status_code == 200, "health that is not touched")
    assert after(faulty.stead)[("pg_stat_statements_calls_total", place)].value is not None


def test_a_reset_of_all_statistics_is_told_and_fires_nothing(faulty: Alerted) -> None:
    well(faulty.stead)
    place = (("datname", "jeex_idea"),)
    began = time.time()
    does(
        faulty.stead,
        "SELECT pg_stat_reset(), pg_stat_statements_reset()",
        *(f"SELECT pg_stat_reset_shared('{w}')" for w in ("bgwriter", "wal", "archiver", "io")),
    )
    found = after(faulty.stead)
    told = found[("pg_stat_database_stats_reset_time_seconds", place)]
    assert told.value is not None
    assert abs(told.value - began) < 60
    assert all(
        s.value is None or s.value >= 0 for (name, _), s in found.items() if "_total" in name
    )
    assert not firing(faulty)
    well(faulty.stead)


def firing(faulty: Alerted) -> list[str]:
    """Return the alerts that fire, but for those of a machine that is busy."""
    ports = faulty.stead.wired.ports.alerts
    assert ports is not None
    fire = [s.name for s in ports.store.states() if s.phase is Phase.FIRING]
    return [name for name in fire if BY_NAME[name].family not in OF_THE_MACHINE]


def test_broken_thresholds_are_refused_by_their_key_and_what_was_applied_goes_on(
    faulty: Alerted,
) -> None:
    from pgstead.errors import SteadError
    from pgstead.manifest.load import load

    path = faulty.stead.directory / "broken.toml"
    whole = faulty.stead.manifest.read_text()
    for line, key in BROKEN:
        path.write_text(whole.replace("[telemetry.thresholds]", f"[telemetry.thresholds]\n{line}"))
        with pytest.raises(SteadError) as refused:
            load(path)
        assert key in str(refused.value), line
    done = faulty.stead.run("--manifest", str(path), "up", status=None)
    assert done.returncode == 2
    assert BROKEN[-1][1] in done.stderr
    assert "Traceback" not in done.stderr
    path.unlink()
    after(faulty.stead)


def test_a_collector_that_hangs_is_told_in_the_log_and_holds_nobody_up(faulty: Alerted) -> None:
    log = next(faulty.stead.state.rglob("api-jeex_idea.log"))
    until(lambda: "Failed to export" in log.read_text(), "a line of the exporter")
    took: list[float] = []
    for path in ("health/live", "health/db", "metrics") * 2:
        before = time.monotonic()
        assert (
            httpx.get(f"http://127.0.0.1:{faulty.stead.api_port}/{path}", timeout=60).status_code
            == 200
        )
        took.append(time.monotonic() - before)
    assert min(took[1::3]) < 1


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (b"hook: json://127.0.0.1/x\n", "name = url"),
        (b"hook = nonsense://Sesam9@127.0.0.1/x\n", "not an address"),
        pytest.param(b"hook = \xff\xfe\n", "decode", marks=pytest.mark.soak),
        pytest.param(None, "cannot be read", marks=pytest.mark.soak),
    ],
)
def test_targets_that_are_none_are_told_with_their_reason(
    faulty: Alerted, lines: bytes | None, says: str
) -> None:
    path = faulty.stead.directory / "targets"
    before = path.read_bytes()
    path.unlink()
    if lines is not None:
        path.write_bytes(lines)
        path.chmod(0o600)
    try:
        with unprivileged(faulty.stead):
            until(lambda: says in errors(faulty), f"an error that says {says}")
            assert "Sesam9" not in errors(faulty) + faulty.stead.log_tail()
            after(faulty.stead)
    finally:
        path.write_bytes(before)
        path.chmod(0o600)
    well(faulty.stead)


def errors(faulty: Alerted) -> str:
    ports = faulty.stead.wired.ports.alerts
    assert ports is not None
    return " ".join(t.error for t in ports.store.targets())


_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *told) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(which, told);
    if (which == CLOCK_REALTIME) {
        FILE *file = fopen(getenv("CLOCK_AHEAD"), "r");
        long ahead = 0;
        if (file) { if (fscanf(file, "%ld", &ahead) != 1) ahead = 0; fclose(file); }
        told->tv_sec += ahead;
    }
    return done;
}
"""


@contextmanager
def other_clock(stead: LiveStead, folder: Path, ahead: int) -> Iterator[Path]:
    """Have the agent run by a clock that is ahead by the seconds that a file says."""
    source, library, file = folder / "clock.c", folder / "clock.so", folder / "ahead"
    source.write_text(_CLOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    file.write_text(str(ahead))
    design, supervisor = stead.wired.design, stead.wired.ports.supervisor
    supervisor.stop("agent")
    log = stead.state / "moved.log"
    layout = design.layout
    command = [sys.executable, "-m", "pgstead.cli.agent", str(layout.applied)]
    with log.open("wb") as out:
        agent = subprocess.Popen(
            [*command, str(layout.manifest_directory)],
            cwd=stead.directory,
            env={"PATH": "/usr/bin:/bin", "LD_PRELOAD": str(library), "CLOCK_AHEAD": str(file)},
            stdout=out,
            stderr=out,
        )
        try:
            yield file
        finally:
            agent.terminate()
            agent.wait(30)
            supervisor.start("agent")


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc: no other clock for one process")
@pytest.mark.parametrize("ahead", [3600, -3600], ids=["set back", "set forward"])
def test_a_clock_that_is_set_is_told_and_the_agent_goes_on(
    faulty: Alerted, tmp_path: Path, ahead: int
) -> None:
    well(faulty.stead)
    with other_clock(faulty.stead, tmp_path, ahead) as file:

        def there() -> bool:
            up = newest(faulty.stead).get(("pg_up", ()))
            return up is not None and abs(up.at.timestamp() - time.time() - ahead) < 60

        until(there, "samples by the other clock")
        file.write_text("0")
        log = faulty.stead.state / "moved.log"
        until(lambda: "the clock was set" in log.read_text(), "a line of the log")
        after(faulty.stead)
        after(faulty.stead)
        well(faulty.stead)
        until(lambda: not firing(faulty), "nothing fires")
        assert "Traceback" not in log.read_text()
    well(faulty.stead)
