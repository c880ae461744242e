"""Which conditions for production are not met: all combinations, and each of the ways."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgstead.model.gate import Ages, Condition, Looked, Unmet, Unproven, VerifiedBackup
from pgstead.model.rehearsal import Rehearsed
from pgstead.plan import gate

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AGES = Ages(rehearsal=7 * 86400.0, backup=86400.0)
TEXTS = {"b": "digest of b", "c": "digest of c"}


def rehearsed(**given: Any) -> Rehearsed:
    whole = Rehearsed(
        database="shop",
        start=("a",),
        revisions=TEXTS,
        at=(NOW - timedelta(hours=1)).isoformat(),
        problems=(),
        report="r.json",
    )
    return replace(whole, **given)


def backup(age: timedelta = timedelta(hours=1)) -> VerifiedBackup:
    return VerifiedBackup("base-1", NOW - age)


def looked(**given: Any) -> Looked:
    whole = Looked(
        database="shop",
        revisions=TEXTS,
        refused=(),
        rehearsed=rehearsed(),
        backup=backup(),
        restore_point=None,
    )
    return replace(whole, **given)


def unmet(**given: object) -> tuple[Unmet, ...]:
    return gate.unmet(looked(**given), AGES, NOW)


FAILING = {
    Condition.LINT: {"refused": ("versions/b.py:3 [drop-column] it goes",)},
    Condition.REHEARSAL: {"rehearsed": None},
    Condition.BACKUP: {"backup": None},
    Condition.RESTORE_POINT: {"restore_point": Unproven("wal_level is minimal")},
}


@pytest.mark.parametrize(
    "failing",
    [c for n in range(5) for c in itertools.combinations(Condition, n)],
    ids=lambda c: "+".join(c) or "nothing",
)
def test_exactly_what_fails_is_told_and_all_of_it(failing: tuple[Condition, ...]) -> None:
    given = {key: value for c in failing for key, value in FAILING[c].items()}
    told = unmet(**given)
    assert tuple(u.condition for u in told) == failing
    assert all(u.says and u.way_out for u in told)


@pytest.mark.parametrize("field", ["refused", "rehearsed", "backup", "restore_point"])
def test_what_could_not_be_looked_at_is_unproven_and_not_met(field: str) -> None:
    (told,) = unmet(**{field: Unproven("the disk is gone")})
    assert told.unproven
    assert told.says == "the disk is gone"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"problems": ("c rewrites item",)}, "did not go well: c rewrites item"),
        ({"revisions": {"b": "digest of b"}}, "c not tried"),
        ({"revisions": {**TEXTS, "b": "older"}}, "b edited since"),
        ({"at": (NOW - timedelta(days=8)).isoformat()}, "8 d old; 7d is allowed"),
        ({"at": (NOW + timedelta(hours=1)).isoformat()}, "a clock is wrong"),
        ({"at": "2026-11-21T12:00:00"}, "no time with its zone"),
        ({"at": "yesterday"}, "no time with its zone"),
    ],
)
def test_a_rehearsal_of_other_texts_a_bad_one_and_an_old_one_do_not_count(
    given: dict[str, object], says: str
) -> None:
    (told,) = unmet(rehearsed=rehearsed(**given))
    assert told.condition is Condition.REHEARSAL
    assert says in told.says


def test_a_rehearsal_may_have_tried_more_than_runs() -> None:
    assert unmet(rehearsed=rehearsed(revisions={**TEXTS, "d": "digest of d"})) == ()


def test_ages_are_allowed_to_their_last_second() -> None:
    assert unmet(backup=backup(timedelta(seconds=86400))) == ()
    (told,) = unmet(backup=backup(timedelta(seconds=86401)))
    assert "24 h old; 1d is allowed" in told.says


def test_of_many_findings_the_first_are_told_and_the_rest_counted() -> None:
    (told,) = unmet(refused=tuple(f"line {n}" for n in range(9)))
    assert told.says == "line 0; line 1; line 2 ... and 6 more"


@pytest.mark.parametrize("database", ["shop", "x" * 63, "ü" * 31])
@pytest.mark.parametrize("revision", ["aa01", "r" * 32])
def test_the_name_of_a_restore_point_fits(database: str, revision: str) -> None:
    name = gate.restore_point(database, revision, NOW)
    assert len(name.encode()) <= 63
    assert name.startswith("pgstead-")
    assert name.endswith("-20261121T120000.000Z")
    assert revision[:20] in name


def test_the_ledger_keeps_what_was_skipped_and_why() -> None:
    skipped = unmet(backup=Unproven("there are none"), refused=("x",))
    told = gate.remark("site is down", skipped, "pgstead-shop-b-1")
    assert told == (
        "[gate: override 'site is down', skipped lint, backup (unproven);"
        " restore point pgstead-shop-b-1]"
    )
    assert gate.remark("", (), "p") == "[gate: all met; restore point p]"
