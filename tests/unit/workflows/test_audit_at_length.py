"""A trail of two hundred days: whole, asked, let go of, and damaged in any way."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pgstead.host.audit_logs import RotatedLog
from pgstead.host.audit_trail import TrailFiles
from pgstead.host.journal import JsonJournal
from pgstead.model.audit import AuditPlan, Event, Head, Kind, Place, Record
from pgstead.ports.audit import AuditPorts
from pgstead.workflows import audit
from pgstead.workflows.audit_query import Following, Question, ask

DAYS, A_DAY = 200, 6
MONTHS = 90 * 86_400
NOW = datetime.now(UTC).replace(microsecond=0)
PLAN = AuditPlan(
    directory="", interval=1, retention=MONTHS, pgaudit=(), own=(), server_log="", pooler_log="",
    journal="",
)  # fmt: skip


def event(back: int, number: int) -> dict[str, Any]:
    """Return what happened so many days ago."""
    return Event(
        at=(NOW - timedelta(days=back, minutes=A_DAY - number)).isoformat(timespec="milliseconds"),
        kind=Kind.READ, role="app", correlation_id=f"request-{back}-{number}",
        what='SELECT "hash":? FROM t', objects=("t",), source=Place("log", number),
    ).told()  # fmt: skip


@pytest.fixture
def ports(tmp_path: Path) -> AuditPorts:
    """Give a trail of one's own."""
    return grown(tmp_path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the place of a trail to who mends what he damages."""
    made = tmp_path_factory.mktemp("length")
    grown(made)
    return made


def grown(tmp_path: Path) -> AuditPorts:
    """Return a trail that has grown by the day, as its files and the journal would have it."""
    folder, head, anchors = tmp_path / "audit", Head(), list[str]()
    folder.mkdir()
    for back in range(DAYS, 0, -1):
        anchors.append(json.dumps({"event": "audit-head", "seq": head.seq, "hash": head.hash}))
        day = (NOW - timedelta(days=back)).date().isoformat()
        opened = {"at": f"{day}T00:00:00.000+00:00", "kind": "opened", "previous": head.hash}
        lines: list[str] = []
        for body in (opened, *(event(back, number) for number in range(A_DAY))):
            record = Record.after(head, body)
            head = Head(record.seq, record.hash)
            lines.append(f"{record.line()}\n")
        (folder / f"trail-{day}.jsonl").write_text("".join(lines))
    (tmp_path / "journal.jsonl").write_text("".join(f"{anchor}\n" for anchor in anchors))
    return ports_at(tmp_path)


def ports_at(tmp_path: Path) -> AuditPorts:
    """Return what reads a place."""
    journal = JsonJournal(PurePosixPath(tmp_path / "journal.jsonl"))
    return AuditPorts(
        trail=TrailFiles(tmp_path / "audit", journal),
        server_log=RotatedLog(tmp_path / "log", "*.json"),
        pooler_log=None,
        journal=RotatedLog(tmp_path / "no", "journal.jsonl"),
    )


def asked(ports: AuditPorts, since: int, until: int = 0, **told: Any) -> list[Mapping[str, Any]]:
    """Ask for events of a span, in days back from now."""
    span = NOW - timedelta(days=since), NOW - timedelta(days=until)
    return list(ask(Question(*span, **told), PLAN, ports, None))


def test_a_trail_of_two_hundred_days_is_whole_and_one_event_of_it_is_found(
    ports: AuditPorts,
) -> None:
    found = audit.verify(ports)
    assert found.flaws == ()
    assert found.records == DAYS * (A_DAY + 1)
    assert len(asked(ports, DAYS + 1)) == DAYS * A_DAY
    (one,) = asked(ports, DAYS + 1, correlation_id="request-150-3")
    assert one["at"] == event(150, 3)["at"]
    assert len(asked(ports, 150, 149)) == A_DAY
    assert asked(ports, DAYS + 1, role="ap") == []


def test_retention_leaves_what_is_young_and_a_chain_that_explains_its_beginning(
    ports: AuditPorts,
) -> None:
    assert audit.expire(PLAN, ports) == DAYS - 90
    assert audit.verify(ports).flaws == ()
    assert len(asked(ports, DAYS + 1)) == 90 * A_DAY
    assert audit.expire(PLAN, ports) == 0


def test_retention_that_was_killed_goes_on_and_leaves_nothing_unexplained(
    ports: AuditPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_self: TrailFiles, _name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrailFiles, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            audit.expire(PLAN, ports)
    assert audit.verify(ports).flaws == ()
    assert audit.expire(PLAN, ports) == DAYS - 90
    assert audit.verify(ports).flaws == ()


def test_what_was_let_go_of_from_a_change_history_is_no_part_of_the_chain(
    ports: AuditPorts,
) -> None:
    dropped = Event(
        at=NOW.isoformat(), kind=Kind.EXPIRED, what="change_2026_01 was removed by retention",
        detail={"history": "shop", "before": "2026-02-01"},
    )  # fmt: skip
    ports.trail.append([dropped.told()])
    assert audit.verify(ports).flaws == ()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "another role": lambda line: line.replace(b'"role":"app"', b'"role":"nobody"'),
    "a word spelled otherwise": lambda line: line.replace(b'"app"', b'"\\u0061pp"'),
    "a space": lambda line: line.replace(b'":"app"', b'": "app"'),
    "a time that is none": lambda line: line.replace(b'"at":"2', b'"at":"x'),
    "no time": lambda line: line.replace(b'"at":', b'"on":'),
    "half a character": lambda line: line.replace(b"SELECT", b"\\ud800"),
    "no character": lambda line: line.replace(b"SELECT", b"\xff"),
    "another kind": lambda line: line.replace(b'"read"', b'"expired"'),
    "no line of JSON": lambda _: b"[]\n",
    "a text as number": lambda line: line.replace(b'"seq":', b'"seq":"x","sql":'),
    "another hash": lambda line: line.replace(b'"hash":"', b'"hash":"0'),
    "nothing": lambda _: b"",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_line_is_named_and_all_others_are_told(
    place: Path, damage: Callable[[bytes], bytes]
) -> None:
    ports, path = (
        ports_at(place),
        place / "audit" / f"trail-{(NOW - timedelta(days=100)).date()}.jsonl",
    )
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    lines[3] = damage(lines[3])
    path.write_bytes(b"".join(lines))
    flaws, told = audit.verify(ports).flaws, asked(ports, DAYS + 1)
    path.write_bytes(whole)
    assert flaws
    assert {flaw.where for flaw in flaws} <= {f"{path.name}:{number}" for number in (4, 5)}
    rest = [event(b, n)["correlation_id"] for b in range(DAYS, 0, -1) for n in range(A_DAY)]
    rest.remove("request-100-2")
    assert [e["correlation_id"] for e in told if e["correlation_id"] != "request-100-2"] == rest


def test_a_moment_in_another_zone_begins_with_the_file_of_its_day(ports: AuditPorts) -> None:
    since = (NOW - timedelta(days=50)).astimezone(timezone(timedelta(hours=14)))
    question = Question(since, NOW, correlation_id=f"request-50-{A_DAY - 1}")
    early = replace(question, since=since - timedelta(hours=1))
    assert len(list(ask(early, PLAN, ports, None))) == 1
    assert len(list(Following(early, ports).new())) == 1


def test_a_name_of_any_bytes_does_not_hide_a_refused_login(
    ports: AuditPorts, tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    line = {
        "timestamp": f"{NOW - timedelta(minutes=1):%Y-%m-%d %H:%M:%S.000} UTC", "user": "NAME",
        "session_id": "s1", "error_severity": "FATAL", "state_code": "28P01",
        "message": 'password authentication failed for user "NAME"',
    }  # fmt: skip
    raw = json.dumps(line).encode().replace(b"NAME", b"\xff\xfe")
    (tmp_path / "log" / "postgresql-Sun.json").write_bytes(raw + b"\n")
    assert audit.collect(PLAN, ports) == 1
    (denied,) = asked(ports, 1, kinds=("login",))
    assert denied["outcome"] == "denied"
    assert audit.verify(ports).flaws == ()
