"""The agent renews what ends soon and finishes what was left, without being asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from pgstead.host import state
from pgstead.host.certificates import CertificateStore
from pgstead.model.resources import Certificate
from tests.fix_stead import SAMPLED, LiveStead, stead_in
from tests.live.rotation.kills import kill_when_lent

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
LIFE = timedelta(days=397)


def until(holds: Callable[[], bool], seconds: float) -> float:
    """Wait until something holds; return how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.2)
    return time.monotonic() - began


def plant(stead: LiveStead, life: timedelta) -> None:
    """Have the server show a certificate that ends soon, or has ended."""
    design = stead.wired.design
    wanted = design.stead.find(Certificate, "server")
    assert wanted is not None
    past = CertificateStore(
        design.layout,
        owner=design.host.server_user,
        now=lambda: datetime.now(UTC) - LIFE + life,
    )
    past.issue(wanted)
    with stead.superuser() as connection:
        connection.execute("SELECT pg_reload_conf()")


def ends(stead: LiveStead) -> datetime:
    text = (stead.state / "tls" / "server.crt").read_bytes()
    return x509.load_pem_x509_certificate(text).not_valid_after_utc


def renewals(stead: LiveStead) -> int:
    """Count what the agent says when the doors show the new one; the file is there before."""
    told = (stead.state / "log" / "agent.log").read_text()
    return told.count("rotated: certificate server")


def firing(stead: LiveStead) -> set[str]:
    done = stead.json("alerts", status=None)
    return {one["name"] for one in done["firing"]}


def test_a_certificate_that_ends_is_alerted_and_mended(capsys: pytest.CaptureFixture[str]) -> None:
    with stead_in(telemetry=SAMPLED) as stead:
        stead.run("up")
        for number, life in enumerate((timedelta(minutes=2), timedelta(seconds=-60)), 1):
            with state.lock(stead.wired.design.layout, "a test"):  # else it may be mended first
                plant(stead, life)
                assert stead.run("rotate", "status", status=3)  # predicted: it is due
                alerted = until(lambda: "CertificateEnds" in firing(stead), 120)
            mended = until(lambda number=number: renewals(stead) == number, 130)
            assert ends(stead) > datetime.now(UTC) + LIFE / 2
            stead.connect(direct=True).close()
            quiet = until(lambda: "CertificateEnds" not in firing(stead), 120)
            with capsys.disabled():
                print(
                    f"\n{life}: alerted {alerted:.0f} s, mended {mended:.0f} s, quiet {quiet:.0f} s"
                )
        assert stead.run("rotate", "status")


def test_a_killed_rotation_is_finished_by_the_agent() -> None:
    with stead_in(telemetry=SAMPLED) as stead:
        stead.run("up")
        before = stead.password("jeex_user")
        standin = stead.state / "secrets" / "jeex_user_standin"
        kill_when_lent(stead)
        until(lambda: not standin.exists(), 150)
        until(lambda: stead.run("prove", "ROT-002", status=None).returncode == 0, 60)
        assert stead.password("jeex_user") != before
