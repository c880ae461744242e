"""`--target compose`: what is understood before any container is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgstead.cli import elsewhere
from pgstead.errors import MissingEngineError, NotRunningError, UsageError
from pgstead.host.compose_engine import ComposeEngine


def test_a_line_without_a_target_is_for_this_machine() -> None:
    assert elsewhere.parse(["prove", "TLS"]) is None


def test_what_follows_two_dashes_belongs_to_another_program() -> None:
    assert elsewhere.parse(["psql", "shop", "--", "--target", "compose"]) is None


@pytest.mark.parametrize(
    "words",
    [
        ["--target", "compose", "-C", "x", "psql", "shop", "--", "-c", "select 1"],
        ["psql", "shop", "--target=compose", "--manifest=x", "--", "-c", "select 1"],
    ],
)
def test_target_and_manifest_stay_here_and_the_rest_goes_there(words: list[str]) -> None:
    line = elsewhere.parse(words)
    assert line is not None
    assert (line.target, line.manifest, line.command) == ("compose", "x", "psql")
    assert line.words == ("psql", "shop", "--", "-c", "select 1")


def test_an_unknown_target_is_refused() -> None:
    line = elsewhere.parse(["prove", "--target", "mars"])
    assert line is not None
    with pytest.raises(UsageError, match="mars"):
        elsewhere.run(line)


def test_a_command_about_this_machine_is_refused_elsewhere() -> None:
    line = elsewhere.parse(["doctor", "--target", "compose"])
    assert line is not None
    with pytest.raises(UsageError, match="this machine"):
        elsewhere.run(line)


def test_an_upgrade_in_containers_is_refused_before_any_is_asked() -> None:
    line = elsewhere.parse(["upgrade", "--target", "compose"])
    assert line is not None
    with pytest.raises(UsageError, match="both versions") as caught:
        elsewhere.run(line)
    assert "new image" in caught.value.hint


def test_destroying_asks_for_a_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _compose_says(tmp_path, "2.40.3", monkeypatch)
    line = elsewhere.parse(["destroy", "--target", f"compose:{tmp_path}"])
    assert line is not None
    with pytest.raises(UsageError, match="the data too"):
        elsewhere.run(line)


def test_a_directory_without_containers_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match=r"no compose\.yml"):
        ComposeEngine.find(tmp_path)


def test_a_machine_without_compose_is_told_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compose.yml").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingEngineError) as caught:
        ComposeEngine.find(tmp_path)
    assert "docs.docker.com" in caught.value.hint


def test_a_compose_that_is_too_old_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _compose_says(tmp_path, "1.29.2", monkeypatch)
    with pytest.raises(MissingEngineError, match=r"1\.29"):
        ComposeEngine.find(tmp_path)


def _compose_says(directory: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "compose.yml").touch()
    program = directory / "docker"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))
