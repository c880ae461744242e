"""Every supported version is backed up, verified, drilled and proven; the newest one in others."""

from __future__ import annotations

import pytest

from tests.fix_stead import stead_in

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("major", [15, pytest.param(16, marks=pytest.mark.soak), 17])
def test_a_version_is_backed_up_verified_drilled_and_proven(major: int) -> None:
    with stead_in(major=major, backup="true") as stead:
        stead.run("up")
        made = stead.json("backup", "now", "--verify")
        assert made["postgresql"] == major
        assert made["verified"]["files"] > 500
        drilled = stead.json("drill")
        assert drilled["failed"] == []
        assert drilled["lost_rows"] == 0
        report = stead.json("prove", "backup", status=None)
        assert [p["code"] for p in report["promises"] if p["verdict"] == "broken"] == []
