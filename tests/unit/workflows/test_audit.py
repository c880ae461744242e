"""Collecting into the trail: each line once, whatever is killed, overwritten or cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pgstead.host.audit_logs import RotatedLog
from pgstead.host.audit_trail import TrailFiles
from pgstead.host.journal import JsonJournal
from pgstead.model.audit import AuditPlan, Flaw
from pgstead.ports.audit import AuditPorts
from pgstead.workflows import audit
from pgstead.workflows.audit_query import Following, Question

PLAN = AuditPlan(
    directory="", interval=1, retention=86_400, pgaudit=(), own=(), server_log="", pooler_log="",
    journal="",
)  # fmt: skip
LONG_AGO = datetime.now(UTC) - timedelta(hours=1)


@dataclass
class Place:
    """The files of one stead."""

    folder: Path
    ports: AuditPorts

    @property
    def log(self) -> Path:
        return self.folder / "log" / "postgresql-Sun.json"

    @property
    def trail(self) -> Path:
        return max((self.folder / "audit").glob("trail-*.jsonl"))

    def says(self, *statements: str, log: str = "postgresql-Sun.json", **told: Any) -> None:
        """Write statements as the server does."""
        with (self.folder / "log" / log).open("a") as file:
            for statement in statements:
                line = {
                    "timestamp": f"{LONG_AGO:%Y-%m-%d %H:%M:%S.000} UTC", "user": "app",
                    "session_id": "s1", "vxid": "1/1", "error_severity": "LOG",
                    "message": f"statement: {statement}", **told,
                }  # fmt: skip
                file.write(json.dumps(line) + "\n")

    def told(self) -> list[str]:
        """Return what the trail has of actions, in its order."""
        records = [record for _, record in self.ports.trail.records()]
        assert None not in records
        bodies: list[Mapping[str, Any]] = [r.body for r in records if r is not None]
        return [str(b.get("what", b["kind"])) for b in bodies if b["kind"] != "opened"]

    def flaws(self) -> tuple[Flaw, ...]:
        return audit.verify(self.ports).flaws


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "log").mkdir()
    journal = JsonJournal(PurePosixPath(tmp_path / "journal.jsonl"))
    ports = AuditPorts(
        trail=TrailFiles(tmp_path / "audit", journal),
        server_log=RotatedLog(tmp_path / "log", "*.json"),
        pooler_log=None,
        journal=RotatedLog(tmp_path, "journal.jsonl"),
    )
    return Place(tmp_path, ports)


def test_who_follows_the_trail_reads_each_record_once_and_waits_for_whole_lines(
    place: Place,
) -> None:
    place.says("TABLE a", "TABLE b")
    audit.collect(PLAN, place.ports)
    read = 0

    class Counting(TrailFiles):
        def following(self, after: Any) -> Iterator[Any]:
            nonlocal read
            for found in super().following(after):
                read += 1
                yield found

    journal = JsonJournal(PurePosixPath(place.folder / "journal.jsonl"))
    counting = replace(place.ports, trail=Counting(place.folder / "audit", journal))
    far = datetime.max.replace(tzinfo=UTC)
    trail = Following(Question(LONG_AGO - timedelta(minutes=1), far), counting)
    assert [told["what"] for told in trail.new()] == ["TABLE a", "TABLE b"]
    assert list(trail.new()) == []
    place.says("TABLE c")
    audit.collect(PLAN, place.ports)
    whole = place.trail.read_text()
    place.trail.write_text(whole[:-5])
    assert list(trail.new()) == []
    place.trail.write_text(whole)
    assert [told["what"] for told in trail.new()] == ["TABLE c"]
    assert read == len(whole.splitlines())


def test_lines_are_taken_over_once_however_often_one_looks(place: Place) -> None:
    place.says("TABLE a", "TABLE b")
    assert audit.collect(PLAN, place.ports) == 2
    place.says("TABLE c")
    assert [audit.collect(PLAN, place.ports) for _ in range(3)] == [1, 0, 0]
    assert place.told() == ["TABLE a", "TABLE b", "TABLE c"]
    assert place.flaws() == ()


def test_no_literal_is_left_in_what_is_noted(place: Place) -> None:
    place.says("ALTER ROLE app PASSWORD 'seen'", "SELECT set_config('a', 'seen', true)")
    audit.collect(PLAN, place.ports)
    files = [path.read_text() for path in (place.folder / "audit").iterdir()]
    assert files
    assert [text for text in files if "seen" in text] == []


def test_a_line_that_is_still_being_written_waits_for_its_end(place: Place) -> None:
    place.says("TABLE a")
    whole = place.log.read_text()
    place.log.write_text(whole[:-20])
    assert audit.collect(PLAN, place.ports) == 0
    place.log.write_text(whole)
    assert audit.collect(PLAN, place.ports) == 1


def test_who_dies_between_the_trail_and_the_note_tells_nothing_twice(place: Place) -> None:
    place.says("TABLE a")
    audit.collect(PLAN, place.ports)
    before = (place.folder / "audit" / "notes.json").read_text()
    place.says("TABLE b", "TABLE c")
    audit.collect(PLAN, place.ports)
    (place.folder / "audit" / "notes.json").write_text(before)
    place.says("TABLE d")
    assert audit.collect(PLAN, place.ports) == 1
    assert place.told() == ["TABLE a", "TABLE b", "TABLE c", "TABLE d"]


def test_a_record_that_a_crash_cut_short_is_written_anew(place: Place) -> None:
    place.says("TABLE a")
    audit.collect(PLAN, place.ports)
    kept = {n: (place.folder / "audit" / n).read_text() for n in ("notes.json", "head.json")}
    place.says("TABLE b")
    audit.collect(PLAN, place.ports)
    place.trail.write_text(place.trail.read_text()[:-30])
    for name, text in kept.items():
        (place.folder / "audit" / name).write_text(text)
    audit.collect(PLAN, place.ports)
    assert place.told() == ["TABLE a", "TABLE b"]
    assert place.flaws() == ()


def test_the_next_file_is_read_after_the_last_one(place: Place) -> None:
    place.says("TABLE a")
    audit.collect(PLAN, place.ports)
    place.says("TABLE b")
    place.says("TABLE c", log="postgresql-Mon.json")
    audit.collect(PLAN, place.ports)
    audit.collect(PLAN, place.ports)
    assert place.told() == ["TABLE a", "TABLE b", "TABLE c"]


def test_a_file_that_was_overwritten_before_it_was_read_leaves_a_gap(place: Place) -> None:
    place.says("TABLE a")
    audit.collect(PLAN, place.ports)
    place.says("TABLE lost")
    place.log.unlink()
    place.says("TABLE b", dbname="another first line")
    audit.collect(PLAN, place.ports)
    assert place.told()[0] == "TABLE a"
    assert "overwritten" in place.told()[1]
    assert place.told()[2] == "TABLE b"


def test_a_week_of_lines_is_taken_over_in_pieces(place: Place) -> None:
    texts = [f"SELECT * FROM t{n} -- {'x' * 3000}" for n in range(1500)]
    place.says(*texts)
    assert place.log.stat().st_size > 4 << 20
    audit.collect(PLAN, place.ports)
    assert place.told() == [f"SELECT * FROM t{n} ?" for n in range(1500)]


def test_records_that_are_cut_off_are_missed_also_after_others_came(place: Place) -> None:
    place.says("TABLE a", "TABLE b", "TABLE c")
    audit.collect(PLAN, place.ports)
    lines = place.trail.read_text().splitlines(keepends=True)
    place.trail.write_text("".join(lines[:-1]))
    assert place.flaws() != ()
    place.says("TABLE d")
    audit.collect(PLAN, place.ports)
    assert place.flaws() != ()


def test_what_retention_lets_go_of_is_explained_and_what_anybody_else_takes_is_not(
    place: Place,
) -> None:
    place.says("TABLE a")
    audit.collect(PLAN, place.ports)
    today = place.trail
    old = today.with_name(f"trail-{date(2020, 1, 1).isoformat()}.jsonl")
    today.rename(old)
    place.says("TABLE b")
    audit.collect(PLAN, place.ports)
    assert place.flaws() == ()
    kept = old.read_text()
    old.unlink()
    assert [f.where for f in place.flaws()] == ["the beginning"]
    old.write_text(kept)
    assert audit.expire(PLAN, place.ports) == 1
    assert not old.exists()
    assert place.flaws() == ()
