"""What is kept of good answers, for whom, and for how long."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pgstead.app.degraded import Good, GoodAnswers, Reading, cacheable, degradable, key_of, reading

WHEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def good(path: str = "/a", body: bytes = b"{}", *, at: float = 0.0) -> Good:
    return Good(path, (), body, Reading(degradable=100, cacheable=10), at, WHEN)


def scope(method: str = "GET", path: str = "/a", query: bytes = b"", **headers: str) -> Any:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"method": method, "path": path, "query_string": query, "headers": pairs}


def test_a_key_is_of_what_is_asked_and_by_whom() -> None:
    same = key_of(scope())
    assert same == key_of(scope(user_agent="x", accept="*/*", x_request_id="1", traceparent="2"))
    for other in (
        scope(path="/b"),
        scope(query=b"a=1"),
        scope(authorization="Bearer x"),
        scope(cookie="x"),
        scope(x_forwarded_user="x"),
        scope(nobody_has_heard_of="x"),
    ):
        assert key_of(other) != same


@given(
    st.lists(st.tuples(st.sampled_from(["authorization", "x-a", "x-b"]), st.text("ab", max_size=3)))
)
def test_no_two_identities_share_a_key(pairs: list[tuple[str, str]]) -> None:
    """However name and value are cut up."""

    def key(given: list[tuple[str, str]]) -> bytes:
        told = [(name.encode(), value.encode()) for name, value in given]
        return key_of({"method": "GET", "path": "/", "query_string": b"", "headers": told})

    assert key(pairs) == key(list(reversed(pairs)))
    assert key(pairs) != key([*pairs, ("x-a", "")])
    moved = [(name + value[:1], value[1:]) for name, value in pairs]
    assert (key(pairs) == key(moved)) == (sorted(pairs) == sorted(moved))


def test_answers_end_with_their_age() -> None:
    clock = Clock()
    answers = GoodAnswers(clock=clock)
    answers.keep(b"k", good(), since=answers.moment)
    clock.now = 10
    assert answers.cached(b"k") is not None
    clock.now = 11
    assert answers.cached(b"k") is None
    last = answers.last(b"k")
    assert last is not None
    assert (last.age, last.degraded) == (11, True)
    clock.now = 101
    assert answers.last(b"k") is None


def test_a_write_makes_old_what_is_at_above_or_below_its_path_and_a_deletion_removes_it() -> None:
    answers = GoodAnswers(clock=Clock())
    paths = ["/projects", "/projects/1", "/projects/1/documents", "/projects/10", "/users"]
    for path in paths:
        answers.keep(path.encode(), good(path), since=answers.moment)
    answers.written("/projects/1", deleted=False)
    assert [p for p in paths if answers.cached(p.encode())] == ["/projects/10", "/users"]
    assert all(answers.last(p.encode()) for p in paths)
    answers.written("/projects/1", deleted=True)
    assert [p for p in paths if answers.last(p.encode())] == ["/projects/10", "/users"]


def test_what_was_read_before_a_write_is_not_kept_as_fresh() -> None:
    answers = GoodAnswers(clock=Clock())
    before = answers.moment
    answers.written("/elsewhere", deleted=False)
    answers.keep(b"k", good(), since=before)
    assert answers.cached(b"k") is None
    assert answers.last(b"k") is not None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 400)), max_size=80))
def test_it_is_bounded_in_number_and_bytes(kept: list[tuple[int, int]]) -> None:
    answers = GoodAnswers(most=7, most_bytes=1600, clock=Clock())
    for key, length in kept:
        answers.keep(bytes([key]), good(body=b"x" * length), since=answers.moment)
        assert len(answers._kept) <= 7
        assert answers.size == sum(len(g.body) for g in answers._kept.values()) <= 1600


def test_marks_add_up_and_are_told_in_the_docstring() -> None:
    @degradable(seconds=60)
    @cacheable(seconds=5)
    async def route() -> None:
        """Read it.

        With care.
        """

    assert reading(route) == Reading(degradable=60, cacheable=5)
    assert reading(test_it_is_bounded_in_number_and_bytes) == Reading()
    assert (route.__doc__ or "").startswith("Read it.\n\nWith care.\n\n")
    assert "X-Degraded" in (route.__doc__ or "")
