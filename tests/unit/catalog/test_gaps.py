"""What versions lack."""

from __future__ import annotations

import pytest

from pgstead.catalog import gaps


def codes(*version: int) -> set[str]:
    """Return the codes of what a PgBouncer lacks."""
    major, minor, patch = version
    return {notice.code for notice in gaps.of_pooler((major, minor, patch))}


def test_debian_12s_pooler_is_below_the_floor_and_prepares_nothing() -> None:
    assert {"pooler-below-floor", "pooler-no-prepared-statements", "CVE-2026-6664"} <= codes(
        1, 18, 0
    )


def test_the_newest_pooler_lacks_nothing() -> None:
    assert codes(1, 26, 1) == set()


@pytest.mark.parametrize(
    ("code", "last_with_it", "first_without"),
    [
        ("CVE-2025-2291", (1, 24, 0), (1, 24, 1)),
        ("CVE-2025-12819", (1, 25, 0), (1, 25, 1)),
        ("CVE-2026-6664", (1, 25, 1), (1, 25, 2)),
        ("CVE-2026-107350", (1, 26, 0), (1, 26, 1)),
        ("pooler-no-prepared-statements", (1, 20, 1), (1, 21, 0)),
    ],
)
def test_a_gap_ends_with_the_version_that_closed_it(
    code: str, last_with_it: tuple[int, int, int], first_without: tuple[int, int, int]
) -> None:
    assert code in codes(*last_with_it)
    assert code not in codes(*first_without)


def test_a_gap_begins_with_the_version_that_brought_it() -> None:
    assert "CVE-2026-107349" not in codes(1, 19, 1)
    assert "CVE-2026-107349" in codes(1, 20, 0)


@pytest.mark.parametrize("version", ["15.19", "16.15", "17.11", "18.6", "18.7"])
def test_the_newest_minor_release_is_not_reported(version: str) -> None:
    assert gaps.of_server(version) == ()


@pytest.mark.parametrize("version", ["15.18", "16.1", "17.0", "18.5", "18beta1"])
def test_an_older_minor_release_is_reported(version: str) -> None:
    assert [n.code for n in gaps.of_server(version)] == ["server-minor-behind"]
