"""Damage that no sum of a backup shows, as it was there when the backup was made: a drill sees it.

The copy is, byte for byte, what the server had; its checksums hold. One backup of all kinds at once
is drilled here, each kind alone is a soak of the same table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pgstead.model.backup import Ending, Task
from pgstead.workflows import heartbeat
from tests.fix_stead import LiveStead, stead_in
from tests.live.backup.pages import altered, forget, shift

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]

_SCENE = """
    CREATE TABLE public.indexed (n int PRIMARY KEY);
    INSERT INTO public.indexed SELECT generate_series(1, 500);
    CREATE TABLE public.shifted (n int);
    INSERT INTO public.shifted SELECT generate_series(1, 100);
    CREATE TABLE public.guarded (n int);
    ALTER TABLE public.guarded ENABLE ROW LEVEL SECURITY;
    CREATE POLICY only_even ON public.guarded USING (n % 2 = 0);
    CREATE ROLE night_watch NOLOGIN;
"""


@pytest.fixture(scope="module")
def stead() -> Iterator[LiveStead]:
    """A stead with a base backup and something to break; its agent is stopped."""
    with stead_in(backup="true") as made:
        made.run("up")
        ports = made.wired.ports.backup
        assert ports is not None
        end = time.monotonic() + 240
        while not any(r.ending is Ending.DONE for r in ports.catalog.runs(Task.VERIFY)):
            assert time.monotonic() < end, made.log_tail()
            time.sleep(0.1)
        made.wired.ports.supervisor.stop("agent")
        run(made, _SCENE)
        yield made


def run(stead: LiveStead, statement: str, database: str = "jeex_idea") -> list[Any]:
    with stead.superuser(database) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


# -- what is broken ------------------------------------------------------------------------------


@contextmanager
def an_index_has_lost_an_entry(stead: LiveStead) -> Iterator[None]:
    """A row came while its index was thought not to be there."""
    flag = "UPDATE pg_index SET indisready = {} WHERE indexrelid = 'indexed_pkey'::regclass"
    run(stead, flag.format("false"))
    run(stead, "INSERT INTO indexed VALUES (1000)")
    run(stead, flag.format("true"))
    yield
    run(stead, "REINDEX TABLE indexed")


@contextmanager
def a_heap_page_is_broken(stead: LiveStead) -> Iterator[None]:
    with altered(stead, "public.shifted", "n = 7", shift):
        yield


@contextmanager
def a_row_of_the_ledger_was_changed(stead: LiveStead) -> Iterator[None]:
    for _ in range(2):  # the agent may have written one row so far
        heartbeat.beat(stead.wired.ports.sql)
    (row,) = run(
        stead,
        "UPDATE pgstead_heartbeat.ledger SET at = at + interval '1 s' WHERE number = 2"
        " RETURNING at::text",
        "postgres",
    )
    assert row
    yield
    run(
        stead,
        "UPDATE pgstead_heartbeat.ledger SET at = at - interval '1 s' WHERE number = 2",
        "postgres",
    )


@contextmanager
def a_policy_is_missing(stead: LiveStead) -> Iterator[None]:
    with altered(stead, "pg_policy", "polname = 'only_even'", forget):
        yield


@contextmanager
def a_role_is_missing(stead: LiveStead) -> Iterator[None]:
    with altered(stead, "pg_authid", "rolname = 'night_watch'", forget):
        yield


@dataclass(frozen=True)
class Broken:
    """What is broken, and what a drill says of it."""

    do: Callable[[LiveStead], AbstractContextManager[None]]
    says: str


BROKEN = (
    Broken(a_row_of_the_ledger_was_changed, "rows altered, 0 gaps, the first at row 2"),
    Broken(a_role_is_missing, "roles: missing night_watch"),
    Broken(a_policy_is_missing, "jeex_idea: policies: missing public.guarded: only_even"),
    Broken(an_index_has_lost_an_entry, 'lacks matching index tuple within index "indexed_pkey"'),
    Broken(a_heap_page_is_broken, "shifted: tuple data should begin at byte 24"),
)


def told_by_a_drill(stead: LiveStead) -> str:
    """Make a base backup, verify it: it is what was copied. Return what a drill complains of."""
    stead.run("backup", "now", "--verify")
    said = stead.run("drill", status=1).stderr
    assert "Traceback" not in said
    return str(said)


def test_what_was_broken_when_it_was_copied_is_found_by_a_drill_and_named(
    stead: LiveStead,
) -> None:
    with ExitStack() as stack:
        for broken in BROKEN:
            stack.enter_context(broken.do(stead))
        said = told_by_a_drill(stead)
    assert [broken.says for broken in BROKEN if broken.says not in said] == [], said
    ports = stead.wired.ports.backup
    assert ports is not None
    last = ports.catalog.runs(Task.DRILL)[0]
    assert last.ending is Ending.FAILED
    assert "night_watch" in last.error
    assert "the last drill failed" in stead.run("status", status=None).stdout


@pytest.mark.soak
@pytest.mark.parametrize("broken", [pytest.param(b, id=b.do.__name__) for b in BROKEN])
def test_one_thing_that_is_broken_is_all_that_is_told(stead: LiveStead, broken: Broken) -> None:
    with broken.do(stead):
        said = told_by_a_drill(stead)
    assert broken.says in said
    others = [other.says for other in BROKEN if other is not broken]
    assert [says for says in others if says in said] == []
    stead.run("backup", "now")
    stead.run("drill")


def names(stead: LiveStead) -> list[str]:
    return [b["name"] for b in stead.json("backup", "list")["backups"]]


def test_a_page_whose_checksum_is_wrong_is_never_backed_up(stead: LiveStead) -> None:
    before = names(stead)
    with altered(stead, "public.shifted", "n = 7", shift, checksum=False):
        said = stead.run("backup", "now", status=1).stderr
    assert "checksum" in said
    path = run(stead, "SELECT pg_relation_filepath('public.shifted') AS path")[0]["path"]
    assert path in said
    assert names(stead) == before


def received(stead: LiveStead, place: int) -> Path:
    """Wait until so many bytes of the open segment were received; return its file."""
    (row,) = run(stead, "SELECT pg_walfile_name(pg_current_wal_insert_lsn()) AS name")
    assert stead.wired.design.backup is not None
    partial = Path(stead.wired.design.backup.streaming, f"{row['name']}.partial")
    end = time.monotonic() + 30
    while not partial.exists() or not any(partial.read_bytes()[place : place + 100]):
        assert time.monotonic() < end, "nothing was received"
        time.sleep(0.1)
    return partial


def test_damage_to_the_segment_that_is_being_received_is_told_by_verification_and_drill(
    stead: LiveStead,
) -> None:
    run(stead, "SELECT pg_switch_wal()")
    run(stead, "CREATE TABLE public.lost AS SELECT generate_series(1, 20000) AS n")
    partial = received(stead, 300_000)
    with partial.open("r+b") as file:
        file.seek(300_000)
        file.write(b"\xff" * 100)
    said = stead.run("backup", "verify", status=1).stderr
    told = f"in the segment {partial.name.removesuffix('.partial')}"
    assert "the WAL cannot be read after" in said
    assert told in said
    assert told in stead.run("drill", status=1).stderr
    run(stead, "SELECT pg_switch_wal()")
    stead.run("backup", "now", "--verify")  # nothing before that is needed by this one
    stead.run("drill")
