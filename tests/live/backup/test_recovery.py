"""Recovery to any moment holds exactly what was committed by then (see ledger.py for what that is).

One history for all: base backups, an incremental one, a mark, an in-place restore that goes back
a little and begins a new timeline, and rows all the time.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.fix_stead import LiveStead
from tests.live.backup.ledger import (
    Commit,
    History,
    Rows,
    differences,
    live_rows,
    lsn_number,
    lsn_text,
    restored_rows,
    written,
)

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Stretch:
    """What was committed on a timeline, behind rows that were there when it began."""

    timeline: int
    before: frozenset[int]
    commits: History  # those that a base backup leads to


@dataclass(frozen=True)
class Past:
    """All that happened."""

    stead: LiveStead
    stretches: tuple[Stretch, ...]
    mark: int
    marked: frozenset[int]

    def restored(self, *arguments: str, stretch: Stretch) -> Rows:
        """Restore beside the stead, and read the ledger there."""
        place = Path(tempfile.mkdtemp(dir=self.stead.directory), "restored")
        if stretch is not self.stretches[-1]:
            arguments = (*arguments, "--timeline", str(stretch.timeline))
        try:
            place.parent.chmod(0o755)
            told = self.stead.json("restore", *arguments, "--into", str(place))
            assert told["place"] == str(place)
            return restored_rows(self.stead, place)
        finally:
            shutil.rmtree(place.parent)


def since(commits: list[Commit], moment: str) -> History:
    """Return the commits behind a backup's end."""
    edge = datetime.fromisoformat(moment) + timedelta(seconds=1)  # its end is told in whole ones
    return History([c for c in commits if c.at > edge])


@pytest.fixture(scope="module")
def past(plain: LiveStead, tmp_path_factory: pytest.TempPathFactory) -> Past:
    """Let it happen."""
    journal = tmp_path_factory.mktemp("ledger") / "journal"
    with written(plain, journal) as ledger:
        first = plain.json("backup", "now")
        ledger.wait_for(250)
        mark = lsn_number(plain.json("backup", "mark", "amidst")["lsn"])
        ledger.wait_for(50)
        plain.run("backup", "now", "--incremental")
        old = ledger.wait_for(300)
        cut = old.commits[-100].at
        plain.run("restore", "--in-place", "--yes", "--to-time", cut.isoformat())
        last = plain.json("backup", "list")["backups"][-1]
        ledger.wait_for(250)
        kept = frozenset(old.by_time(cut))
        there = live_rows(plain).numbers - kept
        new = [c for c in ledger.history().commits if c.number in there]
        # the last record has to be behind every target
        ledger.wait_for(5)
    assert last["timeline"] == first["timeline"] + 1
    ended = (str(first["ended"]), str(last["ended"]))
    stretches = (
        Stretch(first["timeline"], frozenset(), old),
        Stretch(last["timeline"], kept, History(new)),
    )
    reachable = tuple(
        Stretch(
            s.timeline,
            s.before | (s.commits.acknowledged - since(s.commits.commits, e).acknowledged),
            since(s.commits.commits, e),
        )
        for s, e in zip(stretches, ended, strict=True)
    )
    # a mark is a place in the WAL: it ends there, a COMMIT that begins there is behind it
    return Past(plain, reachable, mark, frozenset(old.by_lsn(mark, exclusive=True)))


def one(past: Past, chance: random.Random, kind: str) -> None:
    """Recover to a random target of a kind, on a random timeline, and compare."""
    stretch = chance.choice(past.stretches)
    exclusive = chance.random() < 0.5
    history, commit = stretch.commits, chance.choice(stretch.commits.commits[:-1])
    match kind:
        case "time":
            moment = commit.at + timedelta(microseconds=chance.choice([0, 0, 1, -1]))
            value, wanted = moment.isoformat(), history.by_time(moment, exclusive=exclusive)
        case "xid":
            value, wanted = commit.xid, history.by_xid(commit.xid, exclusive=exclusive)
        case _:
            value = lsn_text(commit.lsn)
            wanted = history.by_lsn(commit.lsn, exclusive=exclusive)
    words = [f"--to-{kind}", value, *(["--exclusive"] if exclusive else [])]
    found = past.restored(*words, stretch=stretch)
    assert differences(found, set(stretch.before) | wanted) == [], (words, stretch.timeline)


@pytest.mark.parametrize("kind", ["time", "xid", "lsn"])
@pytest.mark.parametrize(
    "rounds", [1, pytest.param(10, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]
)
def test_a_recovery_holds_exactly_what_was_committed_by_then(
    past: Past, kind: str, rounds: int
) -> None:
    chance = random.Random(f"recovery {kind} {rounds}")
    for _ in range(rounds):
        one(past, chance, kind)


def test_a_name_older_than_the_newest_backup_is_found_from_an_older_one(past: Past) -> None:
    found = past.restored("--to-name", "amidst", stretch=past.stretches[0])
    assert differences(found, set(past.marked)) == []


def test_a_moment_that_never_came_is_refused_and_nothing_is_left(past: Past) -> None:
    place = past.stead.directory / "never"
    done = past.stead.run(
        "restore", "--to-time", "2099-01-01T00:00:00Z", "--into", str(place), "--json", status=1
    )
    assert json.loads(done.stdout)["error"] == "target-unreachable"
    assert [path.name for path in past.stead.directory.iterdir() if "never" in path.name] == []


def test_the_ledger_finds_a_recovery_to_a_second_earlier_and_a_row_that_was_deleted(
    past: Past,
) -> None:
    stretch = past.stretches[-1]
    commit = stretch.commits.commits[-1]
    wanted = set(stretch.before) | stretch.commits.by_time(commit.at)
    right = Rows(frozenset(wanted), ())
    assert differences(right, wanted) == []
    early = commit.at - timedelta(seconds=1)
    found = past.restored("--to-time", early.isoformat(), stretch=stretch)
    assert any("missing" in told for told in differences(found, wanted))
    victim = next(iter(found.numbers))
    assert differences(Rows(found.numbers - {victim}, ()), set(found.numbers)) != []
    assert differences(Rows(found.numbers, (victim,)), set(found.numbers)) != []
    assert differences(right, wanted - {commit.number}) != []
