"""Laws of what is done about a failed unit of work."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError, InterfaceError

from pgstead.app import errors
from pgstead.app.commits import Mark, Status, Told, Verdict, judge
from pgstead.app.errors import DatabaseError, Phase
from pgstead.app.retry import Budget, Decision, Policy, decide
from pgstead.app.translation import translate

RERUNS = {Decision.RERUN, Decision.RERUN_FEW, Decision.RERUN_ONCE}

codes = st.one_of(
    st.just(""),
    st.sampled_from(
        [
            *("40001", "40P01", "40003", "55P03", "57014", "57P01", "57P02", "57P03", "08000"),
            *("08003", "08006", "08007", "08P01", "25P02", "25P03", "25P04", "25006", "26000"),
            *("42P05", "0A000", "XX000", "23505", "23P01", "22001", "42501", "42P01", "53100"),
            *("53300", "54000", "3D000", "28P01"),
        ]
    ),
    st.text(string.digits + string.ascii_uppercase, min_size=5, max_size=5),
)
words = st.sampled_from(
    [
        "",
        "connection is closed",
        "cached plan must not change result type",
        "cache lookup failed for type 1",
        "bind message supplies 1 parameters",
    ]
)


class ServerError(Exception):
    """What a driver raises, as far as is looked at."""

    def __init__(self, said: str, sqlstate: str) -> None:
        super().__init__(said)
        self.sqlstate = sqlstate or None


@st.composite
def raised(draw: st.DrawFn) -> DBAPIError:
    """Return an error as SQLAlchemy hands it over."""
    kind = draw(st.sampled_from([DBAPIError, InterfaceError]))
    original = ServerError(draw(words), draw(codes))
    return kind("SELECT 1", {}, original, connection_invalidated=draw(st.booleans()))


def every_kind() -> list[type[DatabaseError]]:
    found: list[type[DatabaseError]] = [DatabaseError]
    for kind in found:
        found += [k for k in kind.__subclasses__() if k.__module__ == errors.__name__]
    return found


@st.composite
def typed(draw: st.DrawFn) -> DatabaseError:
    """Return any error of ours."""
    kind = draw(st.sampled_from(every_kind()))
    sqlstate = draw(codes)
    if issubclass(kind, errors.ConstraintError):
        return kind(errors.Violation(sqlstate, "c", "t", ()))
    if issubclass(kind, errors.BreakerOpenError):
        return kind("m", retry_after=1)
    return kind("m", sqlstate=sqlstate, phase=draw(st.sampled_from(Phase)))


@given(raised())
def test_every_error_of_a_driver_becomes_a_typed_one(error: DBAPIError) -> None:
    for committing in (False, True):
        meaning = translate(error, committing=committing)
        assert isinstance(meaning, DatabaseError)
        assert meaning.message


@given(raised())
def test_a_commit_that_the_server_did_not_answer_is_never_run_again(error: DBAPIError) -> None:
    meaning = translate(error, committing=True)
    assert meaning is not None
    assert isinstance(error.orig, ServerError)
    sqlstate = error.orig.sqlstate or ""
    if decide(meaning) in RERUNS:
        # it said itself that the transaction is rolled back, and the connection is whole
        assert sqlstate
        assert sqlstate[:2] != "08"
        assert sqlstate not in ("40003", "57P01", "57P02", "57P03")
    if not sqlstate and not isinstance(meaning, errors.StalePlanError):
        assert decide(meaning) is Decision.RESOLVE


@given(typed())
def test_whatever_it_is_it_is_decided_and_the_unknown_is_never_run_again(
    error: DatabaseError,
) -> None:
    decision = decide(error)
    if isinstance(error, errors.CommitUnknownError):
        assert decision is Decision.RESOLVE
    if isinstance(error, errors.UnavailableError) and error.phase is Phase.COMMIT:
        definite = (errors.NotCommittedError,)
        assert decision not in RERUNS or isinstance(error, definite)
    if isinstance(error, (errors.ConstraintError, errors.ValueRefusedError)):
        assert decision is Decision.RAISE


@pytest.mark.parametrize(
    ("sqlstate", "wanted"),
    [
        ("40001", Decision.RERUN),
        ("40P01", Decision.RERUN),
        ("55P03", Decision.RERUN_FEW),
        ("57P01", Decision.RERUN),
        ("57P02", Decision.RERUN),
        ("08003", Decision.RERUN),
        ("08006", Decision.RERUN),
        ("53300", Decision.RERUN),
        ("25006", Decision.RERUN_FEW),
        ("26000", Decision.RAISE),
        ("42P05", Decision.RAISE),
        ("57014", Decision.RAISE),
        ("25P02", Decision.RAISE),
        ("25P03", Decision.RAISE),
        ("25P04", Decision.RAISE),
        ("22001", Decision.RAISE),
        ("23505", Decision.RAISE),
        ("23P01", Decision.RAISE),
        ("42501", Decision.RAISE),
        ("53100", Decision.RAISE),
        ("53200", Decision.RAISE),
        ("54000", Decision.RAISE),
    ],
)
def test_the_table_of_the_research_holds(sqlstate: str, wanted: Decision) -> None:
    meaning = translate(DBAPIError("SELECT 1", {}, ServerError("", sqlstate)))
    assert meaning is not None
    assert decide(meaning) is wanted


@given(st.floats(0, 1), st.floats(1, 50), st.lists(st.booleans(), max_size=300))
def test_retries_stay_within_the_budget(share: float, reserve: float, events: list[bool]) -> None:
    budget = Budget(share, reserve)
    units = retries = 0
    for is_unit in events:
        if is_unit:
            units += 1
            budget.pay()
        else:
            retries += budget.take()
        assert retries <= reserve + share * units + 1e-6


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_pauses_are_bounded_and_spread_from_nothing(attempt: int, chance: float) -> None:
    policy = Policy()
    pause = policy.pause(attempt, chance)
    assert 0 <= pause <= policy.longest
    assert policy.pause(attempt, 0) == 0


# What really happened to a transaction, and what a server can say of its id afterwards.
@given(
    done=st.booleans(),
    crashed=st.booleans(),
    reused=st.sampled_from([None, Status.COMMITTED, Status.ABORTED, Status.IN_PROGRESS]),
    reset=st.booleans(),
    still_running=st.booleans(),
    forgotten=st.booleans(),
)
def test_a_verdict_is_never_about_another_transaction(
    done: bool,
    crashed: bool,
    reused: Status | None,
    reset: bool,
    still_running: bool,
    forgotten: bool,
) -> None:
    """Only a crash of an undone transaction can give its id to another one."""
    if crashed and not done and reused is not None:
        status = reused
    elif crashed and not done:
        status = Status.FUTURE
    elif still_running and not crashed:
        status = Status.IN_PROGRESS
    else:
        status = Status.COMMITTED if done else Status.ABORTED
    if forgotten and status in (Status.COMMITTED, Status.ABORTED):
        status = Status.FORGOTTEN
    epoch = "another" if crashed or reset else "the same"
    verdict = judge(Mark("773", "the same"), Told(status, epoch))
    if verdict is Verdict.DONE:
        assert done
    if verdict is Verdict.NOT_DONE:
        assert not done
        assert status is not Status.IN_PROGRESS
    if not (crashed or reset or forgotten or still_running):
        assert verdict in (Verdict.DONE, Verdict.NOT_DONE)


def test_a_standby_is_not_believed_and_no_id_means_no_change() -> None:
    mark = Mark("773", "e")
    assert judge(mark, Told(Status.COMMITTED, "e", standby=True)) is Verdict.WAIT
    assert judge(Mark(None, "e"), Told(Status.COMMITTED, "e")) is Verdict.NOT_DONE
