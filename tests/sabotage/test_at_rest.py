"""What lies on the disk: promised where it is true, broken where it is demanded and is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgstead.cli.wiring import access_to
from pgstead.design import backup
from pgstead.manifest.document import Manifest
from pgstead.model.at_rest import AtRestPlan
from pgstead.observe.block_devices import Devices
from pgstead.prove.finding import Verdict
from pgstead.prove.run import run
from tests.fake_machine import LUKS, FakeMachine
from tests.fix_stead import LiveStead
from tests.sabotage.damage import Sabotage
from tests.sabotage.on_at_rest import BACKUPS, DATA, SWAP, WHERE
from tests.sabotage.register import sabotages
from tests.sabotage.scene import Scene
from tests.sabotage.test_sabotage import sabotaged

CODES = ("ENC-006", "ENC-007")


@pytest.fixture
def disks(stead: LiveStead, tmp_path: Path) -> Scene:
    """Give the shared stead on disks that are all encrypted, with backups on one of them."""
    made = FakeMachine(tmp_path)
    for number, name in enumerate((DATA, BACKUPS, SWAP)):
        made.disk(f"sd{name[-1]}", f"8:{16 * number}")
        made.mapped(name, f"253:{number}", LUKS, f"sd{name[-1]}")
    made.mount("/", "253:0", "ext4", "/dev/mapper/data")
    made.mount("/mnt/backups", "253:1", "ext4", "/dev/mapper/backups")
    made.swap("/dev/dm-2 partition 1 0 -2")
    wired = stead.wired
    told: dict[str, object] = {
        "version": 1,
        "name": "disks",
        "databases": [{"name": "disks"}],
        "backup": {"directory": "/mnt/backups", "export": {"directory": "/mnt/backups/dumps"}},
    }
    plan = backup.plan(Manifest.model_validate(told), wired.design.build, wired.design.layout, 1.0)
    design = replace(wired.design, backup=plan, at_rest=AtRestPlan(data=True, backups=True))
    access = replace(access_to(wired.design, wired.ports), devices=made.devices)
    scene = Scene(design, wired.ports, access)
    scene.baseline = scene.prove(*CODES).verdicts()
    return scene


def test_encrypted_disks_keep_it_and_each_place_is_named(disks: Scene) -> None:
    report = disks.prove(*CODES)
    assert set(report.verdicts().values()) == {Verdict.KEPT}
    told = report.text(evidence=True)
    for name in ("data directory", "WAL", "temporary files", "server log", "swap", "dumps"):
        assert f"{name}: encrypted:" in told, name
    assert "ext4 on dm-0 (LUKS2)" in told


@pytest.mark.parametrize(
    "sabotage", [s for s in sabotages() if s.where == WHERE], ids=lambda s: s.name
)
def test_a_plain_disk_breaks_what_it_holds_and_nothing_else(
    disks: Scene, sabotage: Sabotage
) -> None:
    sabotaged(disks, sabotage, *CODES)


def test_what_nobody_demands_is_not_promised_where_it_is_not_true(disks: Scene) -> None:
    design = replace(disks.design, at_rest=AtRestPlan())
    assert set(disks.prove(*CODES, design=design).verdicts().values()) == {Verdict.KEPT}
    FakeMachine(disks.access.devices.root).name(DATA, "")
    report = disks.prove(*CODES, design=design)
    assert report.verdicts() == {"ENC-006": Verdict.UNPROVEN, "ENC-007": Verdict.KEPT}
    assert int(report.exit_status) == 0  # nobody was promised it
    assert "not promised: data directory: unknown" in report.text()


def test_what_cannot_be_known_is_no_pass_where_it_is_demanded(disks: Scene) -> None:
    FakeMachine(disks.access.devices.root).name(DATA, "")
    report = disks.prove("ENC-006")
    assert report.verdicts() == {"ENC-006": Verdict.UNPROVEN}
    assert int(report.exit_status) == 4
    assert "`dmsetup table` tells" in report.text()


def test_a_machine_that_shows_no_mounts_proves_nothing(disks: Scene, tmp_path: Path) -> None:
    blind = replace(disks.access, devices=Devices(tmp_path / "nothing"))
    report = run(disks.design, blind, ("ENC-006",))
    assert "this system shows no mounts in /proc" in report.text()
