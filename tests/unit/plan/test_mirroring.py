"""What goes to the copy of the backups, and what of it may go."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pgstead.model.mirror import Copy, Index, Known, LocalFile, index_of, index_text, known_text
from pgstead.model.mirror import known_of as known_again
from pgstead.plan import mirroring

AT = datetime(2026, 11, 22, tzinfo=UTC)
OLD, NEW = "20261101T020000", "20261120T020000"


def segment(number: int, timeline: int = 1) -> str:
    return f"stead/wals/{timeline:08X}00000000/{timeline:08X}00000000{number:08X}"


def paths() -> list[str]:
    bases = [f"stead/base/{name}/data/base.tar.zst.gpg" for name in (OLD, NEW)]
    infos = [f"stead/meta/{name}-backup.info" for name in (OLD, NEW)]
    return [*bases, *infos, *(segment(n) for n in range(1, 10)), "catalog.sqlite"]


def made(*names: str) -> Index:
    copies = {name: Copy(f"files/{name}@x", 10, f"sum of {name}", "etag") for name in names}
    return Index("stead", 1, AT, copies)


def file(path: str, *, changed: int = 1, size: int = 10, fixed: bool = True) -> LocalFile:
    return LocalFile(path, f"/repository/{path}", size, changed, fixed)


def leaving(local: list[str], *, let_go: set[str], proven: str = "") -> set[str]:
    oldest = segment(5).rpartition("/")[2]
    found = mirroring.leaving(made(*paths()), local, let_go=let_go, proven=proven, oldest=oldest)
    return set(found)


def after_expiry() -> list[str]:
    return [p for p in paths() if OLD not in p and p not in {segment(n) for n in range(1, 5)}]


def test_what_the_retention_let_go_of_goes_with_the_wal_before_the_oldest() -> None:
    assert leaving(after_expiry(), let_go={OLD}) == set(paths()) - set(after_expiry())


def test_the_last_proven_base_backup_stays_and_so_does_all_wal() -> None:
    assert leaving(after_expiry(), let_go={OLD}, proven=OLD) == set()


def test_what_was_removed_by_hand_stays() -> None:
    assert leaving([], let_go=set()) == set()
    here = [p for p in paths() if p != segment(7)]
    assert leaving(here, let_go=set()) == set()


def test_what_is_still_here_stays_whatever_the_catalog_says() -> None:
    assert leaving(paths(), let_go={OLD, NEW}) == set()


def test_wal_before_the_oldest_goes_on_every_timeline() -> None:
    index = made(*paths(), segment(3, 2), segment(6, 2))
    gone = mirroring.leaving(
        index, after_expiry(), let_go={OLD}, proven="", oldest=segment(5).rpartition("/")[2]
    )
    assert segment(3, 2) in gone
    assert segment(6, 2) not in gone


def test_a_file_is_news_until_it_was_copied_as_it_is() -> None:
    one = file(segment(1))
    known = Known(AT, AT, "", made(one.path), {one.path: 1})
    assert mirroring.news([one], None) == (one,)
    assert mirroring.news([one], known) == ()
    for other in (file(one.path, changed=2), file(one.path, size=11), file(segment(2))):
        assert mirroring.news([other], known) == (other,)


def test_only_what_never_changes_can_be_damaged() -> None:
    index, fixed, free = made(segment(1), "pgstead.toml"), file(segment(1)), "pgstead.toml"
    files = [fixed, file(free, fixed=False)]
    assert mirroring.damaged(files, {f.path: "another" for f in files}, index.copies) == (
        fixed.path,
    )


def test_an_index_is_read_as_it_was_written_and_refused_when_it_was_altered() -> None:
    index = made(*paths())
    assert index_of(index_text(index)) == index
    assert index.bases == (OLD, NEW)
    told = json.loads(index_text(index))
    del told["index"]["copies"][segment(3)]
    for text in (json.dumps(told), "{}", "[]", "", '{"format": 2}', '{"format": 1}'):
        with pytest.raises(ValueError, match=r"."):
            index_of(text)


def test_what_is_remembered_comes_back() -> None:
    known = Known(AT, None, "no room", made(*paths()), {segment(1): 5})
    assert known_again(known_text(known)) == known
    with pytest.raises(ValueError, match=r"."):
        known_again("[]")
