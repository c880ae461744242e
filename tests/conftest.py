"""What every test run has: a header that says what it ran on, and Hypothesis that can wait."""

from __future__ import annotations

import os
import platform
import shutil
import signal

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.fix_stead"]

# Two live steads on two cores make any example slow now and then; in CI the same examples each
# time, so that a red run can be repeated.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure() -> None:
    """Take a Ctrl-C as it is meant, also where a shell's `&` has it ignored by whom it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _where(program: str) -> str:
    return shutil.which(program) or f"no {program}"


def pytest_report_header() -> list[str]:
    """Say what a reader of a red run asks first."""
    who = "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"
    return [
        f"machine: {platform.platform()}, {os.cpu_count()} cpus, {who}",
        f"on PATH: {', '.join(_where(p) for p in ('postgres', 'pgbouncer', 'openssl'))}",
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as live what lies in a folder whose tests all need servers."""
    for item in items:
        if {"live", "sabotage"} & set(item.path.parts):
            item.add_marker(pytest.mark.live)
