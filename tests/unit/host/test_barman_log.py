"""What is read in Barman's log."""

from __future__ import annotations

from pathlib import Path

from pgstead.host import barman_log, listing

BEFORE = "2026-11-23 07:54:12,747 [86] barman.server ERROR: Check 'ssh' failed for server 'x'\n"
REFUSED = "Impossible to start the backup. Check the log for more details, or run 'barman check x'"
SINCE = f"""\
2026-11-23 07:56:30,319 [68] barman.postgres WARNING: Error retrieving PostgreSQL status: no answer
2026-11-23 07:56:31,747 [68] barman.server INFO: Ignoring failed check 'minimum redundancy'
2026-11-23 07:56:50,339 [68] Command WARNING: ls: cannot access 'y'
2026-11-23 07:57:10,375 [68] barman.server ERROR: Check 'replication slot' failed for server 'x'
2026-11-23 07:57:10,375 [68] barman.server ERROR: Check 'replication slot' failed for server 'x'
2026-11-23 07:57:10,378 [68] barman.server ERROR: {REFUSED}
"""


def test_why_it_refused_is_what_it_complained_of_since(tmp_path: Path) -> None:
    log = tmp_path / "barman.log"
    log.write_text(BEFORE)
    begun = listing.size_of(log)
    with log.open("a") as file:
        file.write(SINCE)
    assert barman_log.reasons(log, begun, REFUSED) == (
        "Error retrieving PostgreSQL status: no answer"
        " / Check 'replication slot' failed for server 'x'"
    )


def test_who_says_why_is_not_asked_again(tmp_path: Path) -> None:
    log = tmp_path / "barman.log"
    log.write_text(SINCE)
    assert barman_log.reasons(log, 0, "No space left on device") == ""


def test_a_log_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    log = tmp_path / "barman.log"
    assert barman_log.reasons(log, 0, REFUSED) == ""


def test_a_log_that_was_begun_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = tmp_path / "barman.log"
    log.write_text(SINCE)
    assert "replication slot" in barman_log.reasons(log, 10**6, REFUSED)
