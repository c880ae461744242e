"""Which version counts, and which manifest it was brought up by: killed anywhere, done again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from pgstead.host import state
from pgstead.host.state import Identity
from pgstead.host.upgrading import LocalUpgrade
from pgstead.model.layout import Layout
from pgstead.model.upgrade import Mode, Phase, Release, Upgrade
from tests.unit.design.world import composed, text

OLD, NEW = "major = 15", "major = 18"
UPGRADE = Upgrade(
    Release(15, "15.19", "/a"), Release(18, "18.6", "/b"), Mode.COPY, Phase.SWAPPING, "now", "kept"
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(PurePosixPath(tmp_path), PurePosixPath(tmp_path))
    for folder in (made.run, made.upgrade):
        Path(folder).mkdir(parents=True)
    Path(made.applied).write_text(OLD)
    state.remember(made, Identity("id", "shop", 15, "then", str(tmp_path)))
    return made


def host(layout: Layout) -> LocalUpgrade:
    wanted = replace(composed(text()), layout=layout)
    return LocalUpgrade(wanted, wanted, NEW)


def counts(layout: Layout) -> tuple[int, str]:
    known = state.stored(layout)
    assert known is not None
    return known.major, Path(layout.applied).read_text()


def test_there_and_back_each_version_has_its_own_manifest(layout: Layout) -> None:
    for _ in range(2):  # a killed run does it again
        host(layout).remember(UPGRADE)
        assert counts(layout) == (18, NEW)
    for _ in range(2):
        host(layout).remember(UPGRADE, back=True)
        assert counts(layout) == (15, OLD)


def test_what_was_not_remembered_yet_is_not_taken_back(layout: Layout) -> None:
    """A failure before it: what lies in `before.toml` is of another upgrade, or nothing is."""
    host(layout).remember(UPGRADE, back=True)
    assert counts(layout) == (15, OLD)
    Path(layout.upgrade, "before.toml").write_text("major = 14")
    host(layout).remember(UPGRADE, back=True)
    assert counts(layout) == (15, OLD)


def test_a_run_that_was_killed_between_state_and_manifest_is_completed(layout: Layout) -> None:
    host(layout).remember(UPGRADE)
    Path(layout.applied).write_text(OLD)  # as it was before the last write
    host(layout).remember(UPGRADE)
    assert counts(layout) == (18, NEW)
    Path(layout.applied).write_text(OLD)  # and on the way back, whose last write is the state
    host(layout).remember(UPGRADE, back=True)
    assert counts(layout) == (15, OLD)
