"""`top` and `inspect` as people see them: in a terminal of 80 columns, piped, and for programs."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fix_stead import PGSTEAD, LiveStead, stead_in
from tests.waiting import until

_TMUX = shutil.which("tmux")
SUBJECTS = (
    *("queries", "indexes", "bloat", "locks", "connections", "vacuum", "settings", "io"),
    *("forecast", "performance"),
)


@pytest.fixture(scope="module")
def shown() -> Iterator[LiveStead]:
    """Share one running stead."""
    with stead_in(telemetry="true") as made:
        made.run("up")
        made.wait_for_service()
        yield made


class Terminal:
    """A terminal of tmux, with a server of its own."""

    def __init__(self, columns: int, lines: int) -> None:
        self._socket = f"pgstead-{uuid.uuid4().hex}"
        self.tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", f"{columns}", "-y", f"{lines}", "sh"
        )

    def tmux(self, *arguments: str) -> str:
        assert _TMUX is not None
        return subprocess.run(
            [_TMUX, "-L", self._socket, *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout

    def type(self, text: str) -> None:
        # a prompt that came after the text would stand before what its command says
        until(lambda: self.screen().rstrip().endswith(("#", "$")), "sh asks")
        self.tmux("send-keys", text, "Enter")

    def key(self, name: str) -> None:
        self.tmux("send-keys", name)

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def close(self) -> None:
        self.tmux("kill-server")


@contextmanager
def terminal(columns: int = 80, lines: int = 24) -> Iterator[Terminal]:
    made = Terminal(columns, lines)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.skipif(_TMUX is None, reason="no tmux here: nothing is seen in a terminal")
def test_top_fills_a_terminal_of_80_columns_and_leaves_it_as_it_was(shown: LiveStead) -> None:
    with terminal() as screen:
        screen.type(f"cd {shlex.quote(str(shown.directory))} && echo before-it")
        # without the trap sh gives up its list when Ctrl-C comes
        screen.type(f"(trap : INT; {shlex.join(PGSTEAD)} top --interval 0.5; echo left-with-$?)")
        seen = until(lambda: s if "connections" in (s := screen.screen()) else None, "top is seen")
        assert "before-it" not in seen  # it has the terminal's other screen
        assert 'stead "test"' in seen
        first = seen
        until(lambda: screen.screen() != first, "it looks again")
        assert max(len(line) for line in screen.screen().splitlines()) <= 80
        screen.tmux("send-keys", "typed-meanwhile")
        assert "typed-meanwhile" not in screen.screen()
        screen.key("C-c")
        after = until(lambda: s if "\nleft-with-" in (s := screen.screen()) else None, "it ends")
        assert "\nleft-with-0" in after
        assert "before-it" in after
        assert "typed-meanwhile" not in after
        assert "Traceback" not in after


@pytest.mark.skipif(_TMUX is None, reason="no tmux here: nothing is seen in a terminal")
@pytest.mark.parametrize(
    "subject",
    ["forecast", *(pytest.param(s, marks=pytest.mark.soak) for s in SUBJECTS if s != "forecast")],
)
def test_inspect_keeps_to_80_columns_in_a_terminal(shown: LiveStead, subject: str) -> None:
    command = f"{shlex.join([*PGSTEAD, '-C', str(shown.directory)])} inspect {subject}"
    with terminal(200, 100) as screen:  # wider than what is asked for: a longer line would show
        screen.type(f"clear; stty cols 80; {command}; echo left-with-$?")
        seen = until(lambda: s if "left-with-0" in (s := screen.screen()) else None, "it is there")
    said = seen.partition("left-with-0")[0]
    assert f'{subject} of stead "test"' in said
    assert "Traceback" not in said
    lines = [li for li in said.splitlines() if " sql " not in li and "left-with" not in li]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    "subject",
    ["forecast", "performance"] + [pytest.param(s, marks=pytest.mark.soak) for s in SUBJECTS[:-2]],
)
def test_inspect_is_the_same_piped_and_for_programs(shown: LiveStead, subject: str) -> None:
    piped = shown.run("inspect", subject).stdout
    assert "\x1b" not in piped
    assert max(len(line) for line in piped.splitlines() if " sql " not in line) <= 80
    told = json.loads(shown.run("inspect", subject, "--json").stdout)
    assert told["subject"] == subject
    assert {"findings", "unseen", "tables", "at", "stead"} <= told.keys()


def test_a_young_stead_has_no_forecast_and_says_how_much_is_needed(shown: LiveStead) -> None:
    said = until(
        lambda: t if (t := shown.json("inspect", "forecast"))["tables"] else None, "a first sample"
    )
    rows = said["tables"][0]["rows"]
    assert any(row["what"] == "disk data" for row in rows)
    assert {row["meets limit"] for row in rows} == {"not known"}
    assert all(row["samples"] >= 1 for row in rows)
    assert any("are needed" in unseen["reason"] for unseen in said["unseen"])


def test_what_a_service_measured_has_its_sample_count(shown: LiveStead) -> None:
    said = shown.json("inspect", "performance")
    (table,) = said["tables"]
    figures = {row["figure"]: row for row in table["rows"]}
    assert set(figures) == {
        "p95 of statements",
        "p99 of statements",
        "mean wait for a connection",
        "connections that failed",
    }
    for row in figures.values():
        assert row["samples"] >= 0
        assert (row["verdict"] == "not known") == (row["value"] == "not known")
