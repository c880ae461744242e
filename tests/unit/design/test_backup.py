"""How much a base backup may read a second."""

from __future__ import annotations

import pytest

from pgstead.design import backup
from pgstead.manifest.document import Manifest


def manifest(limit: str) -> Manifest:
    told = {"version": 1, "name": "shop", "databases": [{"name": "shop"}]}
    return Manifest.model_validate({**told, "backup": {"rate_limit": limit}})


@pytest.mark.parametrize(
    ("limit", "cpus", "wanted"),
    [
        ("auto", 2.0, 32 * 2**20),
        ("auto", 0.5, 16 * 2**20),
        ("auto", 7.9, 112 * 2**20),
        ("none", 8.0, 0),
        ("10MB", 8.0, 10 * 2**20),
    ],
)
def test_the_rate_follows_the_machine_unless_it_is_told(
    limit: str, cpus: float, wanted: int
) -> None:
    assert backup.rate(manifest(limit), cpus) == wanted


@pytest.mark.parametrize(("limit", "wanted"), [("auto", 16 * 2**20), ("none", 0), ("1GB", 2**30)])
def test_what_nobody_waits_for_is_slower_unless_a_rate_is_told(limit: str, wanted: int) -> None:
    assert backup.rate(manifest(limit), 4.0, gentle=True) == wanted
