"""Steads that are backed up, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fix_stead import LiveStead, stead_in

# the commit times that recoveries to a time are compared with
KEPT_TIMES = 'settings = { track_commit_timestamp = "on" }'
# agents of a test begin nothing by the clock
PLAIN = 'true\nencryption = false\ncompression = "none"\nincremental = "0 4 * * *"'
WAIVER = """
[[waive]]
what = "backup-encryption"
reason = "incremental backups are tried here"
expires = 2027-12-31
"""


@pytest.fixture(scope="module")
def plain() -> Iterator[LiveStead]:
    """Give a stead whose backups are plain, so that there are incremental ones."""
    with stead_in(backup=PLAIN, server=KEPT_TIMES, extra=WAIVER) as made:
        made.run("up")
        yield made


@pytest.fixture(scope="module")
def sealed() -> Iterator[LiveStead]:
    """Give a stead whose backups are encrypted, as is usual."""
    with stead_in(backup="true", server=KEPT_TIMES) as made:
        made.run("up")
        yield made
