"""What stands in the way of an upgrade, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pgstead.model.definition import Definition, Name
from pgstead.model.resources import Cluster
from pgstead.model.upgrade import (
    ClusterFacts,
    Ground,
    Mode,
    Phase,
    RehearsedUpgrade,
    Release,
    Seconds,
)
from pgstead.plan import upgrading

MB = 2**20
OLD, NEW = Release(15, "15.19", "/a"), Release(18, "18.6", "/b")
GROUND = Ground(10_000 * MB, clones=False, available=frozenset({"plpgsql", "pgcrypto"}))
FOUND = ClusterFacts(extensions={"plpgsql": ("a", "b")}, slots=("own",), bytes=1000 * MB)
SHOWN = RehearsedUpgrade(
    OLD, NEW, Mode.COPY, "now", 1000 * MB, Seconds(1, 5, 1, 2), 10, 2, 30, 3, ()
)


def texts(found: ClusterFacts, ground: Ground = GROUND, mode: Mode = Mode.COPY) -> str:
    return "; ".join(o.text for o in upgrading.obstacles(found, ground, mode, "own"))


def test_a_sound_cluster_has_nothing_in_its_way() -> None:
    assert texts(FOUND) == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"prepared": ("later",)}, "prepared transactions are left: later"),
        ({"slots": ("own", "other")}, "replication slots would be lost: other"),
        ({"tablespaces": ("fast",)}, "tablespaces: fast"),
        ({"closed": ("broken",)}, "nobody can connect to: broken"),
        ({"extensions": {"postgis": ("maps",)}}, "no extension postgis, which is in maps"),
    ],
)
def test_what_would_be_lost_or_fail_is_named(changed: dict[str, object], words: str) -> None:
    assert words in texts(replace(FOUND, **changed))


def test_a_data_directory_that_is_mounted_cannot_be_swapped() -> None:
    assert "a file system of its own" in texts(FOUND, replace(GROUND, apart=True), Mode.LINK)


def test_a_copy_needs_room_and_links_do_not() -> None:
    small = replace(GROUND, free=1000 * MB)
    assert "1256 MB are needed" in texts(FOUND, small)
    assert texts(FOUND, small, Mode.LINK) == ""


def test_a_rehearsal_needs_room_for_its_copy_too() -> None:
    ground = replace(GROUND, free=2000 * MB)
    assert texts(FOUND, ground) == ""
    found = [*upgrading.obstacles(FOUND, ground, Mode.COPY, "own", rehearsal=True)]
    assert "2256 MB are needed" in found[0].text


def test_files_are_cloned_where_they_can_be() -> None:
    assert upgrading.mode("auto", GROUND) is Mode.COPY
    assert upgrading.mode("auto", replace(GROUND, clones=True)) is Mode.CLONE
    assert upgrading.mode("link", GROUND) is Mode.LINK


def test_checksums_that_differ_are_seen_to_first() -> None:
    wanted = Cluster(18, True, "UTF8", "libc", "C.UTF-8", "id")
    assert [*upgrading.unfit(wanted, wanted)] == []
    (obstacle,) = upgrading.unfit(replace(wanted, checksums=False), wanted)
    assert "checksums are off in the cluster" in obstacle.text
    assert "pg_checksums --enable" in obstacle.hint


def test_a_rehearsal_covers_the_same_versions_and_files_alone() -> None:
    assert SHOWN.covers(OLD, NEW, Mode.COPY)
    assert not SHOWN.covers(OLD, NEW, Mode.LINK)
    assert not SHOWN.covers(replace(OLD, version="15.20"), NEW, Mode.COPY)
    assert not replace(SHOWN, differences=("x",)).covers(OLD, NEW, Mode.COPY)


def test_the_downtime_is_the_sum_of_its_parts_and_what_cannot_be_rehearsed() -> None:
    assert upgrading.predicted(SHOWN) == pytest.approx(9 + 2 * upgrading.BESIDES)


def test_what_cannot_be_rehearsed_takes_longer_where_stop_and_start_do() -> None:
    busy = replace(SHOWN, seconds=Seconds(2, 5, 3, 2))
    assert upgrading.predicted(busy) == pytest.approx(12 + 5 * upgrading.BESIDES)


def test_in_containers_what_the_engine_takes_is_in_it_and_is_told() -> None:
    shown = replace(SHOWN, seconds=replace(SHOWN.seconds, engine=6))
    assert upgrading.predicted(shown) == pytest.approx(upgrading.predicted(SHOWN) + 6)
    assert dict(upgrading.report(shown))["engine"].startswith("6.00 s")
    assert "engine" not in dict(upgrading.report(SHOWN))


def test_a_report_tells_what_is_kept_and_what_to_know_of_the_times() -> None:
    shown = replace(SHOWN, statistics=(7, 8), notes=("busy",))
    told = [*upgrading.report(shown)]
    assert ("carried over", "the planner's statistics of 7 columns out of 8") in told
    assert told[-1] == ("note", "busy")
    before = replace(shown, new=replace(NEW, major=17))
    assert "carried over" not in dict(upgrading.report(before))


def test_linked_files_leave_no_way_back() -> None:
    assert "--back" in upgrading.way_back(Mode.COPY, OLD, backed_up=False)
    assert upgrading.way_back(Mode.LINK, OLD, backed_up=True).startswith("none once")


def test_what_was_killed_before_the_swap_is_taken_back() -> None:
    assert [phase for phase in Phase if phase.returns] == [Phase.PREPARING, Phase.UPGRADING]


ALL = "DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"
MORE = "DELETE, INSERT, MAINTAIN, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"
GRANTS, OTHER = Name("grants", "table public.t"), Name("constraint", "public.t.c")


@pytest.mark.parametrize(
    ("old", "new", "was", "is_"),
    [
        (15, 18, ALL, MORE),
        (16, 17, ALL, MORE),
        (15, 18, ALL.replace(",", "*,") + "*", MORE.replace(",", "*,") + "*"),
        (15, 18, "SELECT, UPDATE", "SELECT, UPDATE"),
        (15, 18, ALL.replace("SELECT", "SELECT*"), ALL.replace("SELECT", "SELECT*")),
        (15, 16, ALL, ALL),
        (17, 18, ALL, ALL),
    ],
)
def test_who_had_all_privileges_may_maintain_since_17_and_nobody_else(
    old: int, new: int, was: str, is_: str
) -> None:
    before = Definition({GRANTS: {"owner": was}, OTHER: {"definition": ALL}})
    found = upgrading.expected(before, old, new)
    assert found.objects == {GRANTS: {"owner": is_}, OTHER: {"definition": ALL}}


def test_not_null_is_a_facet_of_the_column_before_18() -> None:
    after = Definition({OTHER: {"definition": "NOT NULL id"}, GRANTS: {}})
    assert upgrading.comparable(after, 17).objects == {GRANTS: {}}
    assert upgrading.comparable(after, 18) == after
