"""Whether segments of WAL follow on one another."""

from __future__ import annotations

from pgstead.plan.continuity import followed

MB = 2**20


def names(*numbers: int, timeline: int = 1) -> list[str]:
    return [f"{timeline:08X}{n // 256:08X}{n % 256:08X}" for n in numbers]


def test_segments_that_follow_have_no_gap() -> None:
    assert followed(names(3, 4, 5), names(3)[0], 16 * MB)


def test_a_segment_that_is_missing_is_a_gap() -> None:
    assert not followed(names(3, 5), names(3)[0], 16 * MB)


def test_what_lies_before_does_not_count() -> None:
    assert followed(names(1, 3, 4), names(3)[0], 16 * MB)


def test_a_first_one_that_is_missing_is_a_gap() -> None:
    assert not followed(names(4, 5), names(3)[0], 16 * MB)


def test_the_256th_segment_begins_a_new_log() -> None:
    assert followed(names(254, 255, 256, 257), names(254)[0], 16 * MB)


def test_another_timeline_goes_on_where_the_first_ended() -> None:
    assert followed([*names(3, 4), *names(5, 6, timeline=2)], names(3)[0], 16 * MB)


def test_nothing_yet_is_no_gap() -> None:
    assert followed([], names(3)[0], 16 * MB)


def test_small_segments_are_numbered_on_where_large_ones_begin_a_new_log() -> None:
    named = [f"00000001{n // 4096:08X}{n % 4096:08X}" for n in (4094, 4095, 4096, 4097)]
    assert followed(named, named[0], 1 * MB)
    assert not followed([*named[:2], named[3]], named[0], 1 * MB)


def test_a_segment_of_a_gigabyte_has_three_brothers_in_its_log() -> None:
    named = [f"00000001{n // 4:08X}{n % 4:08X}" for n in (2, 3, 4, 5)]
    assert followed(named, named[0], 1024 * MB)
