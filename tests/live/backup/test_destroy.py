"""What destroy does with backups that lie elsewhere; and the gate that asks for a young backup."""

from __future__ import annotations

import re

from pgstead.host import clock
from pgstead.host.backups import KnownBackups
from pgstead.model.gate import Ages, Condition, Looked, VerifiedBackup
from pgstead.plan.gate import unmet
from tests.fix_stead import LiveStead, stead_in, workplace

COUNT = "SELECT count(*) AS rows FROM kept"


def test_destroy_keeps_what_opens_backups_elsewhere_and_they_bring_all_of_it_back() -> None:
    with workplace() as outside:
        repository = outside / "repository"
        with stead_in(backup=f'true\ndirectory = "{repository}"') as stead:
            stead.run("up")
            with stead.superuser("jeex_idea") as connection:
                connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 7)")
            stead.run("backup", "now", "--verify")
            the_gate_knows(stead)
            status_tells_of_it(stead)
            told = stead.json("destroy", "--yes")
            passphrase = stead.state / "secrets" / "backup-passphrase"
            assert told["backups"] == [str(repository)]
            assert told["passphrase_file"] == str(passphrase)
            assert [p.name for p in passphrase.parent.iterdir()] == [passphrase.name]
            assert (stead.state / ".gitignore").exists()
            stead.link_toolchain()
            stead.run("restore", "--in-place", "--yes")
            with stead.superuser("jeex_idea") as connection:
                assert connection.execute(COUNT).fetchone() == {"rows": 7}
            stead.run("destroy", "--yes", "--with-backups")
            assert not repository.exists()
            assert not passphrase.exists()


def the_gate_knows(stead: LiveStead) -> None:
    """See that a backup that was really verified is what production is let through by."""
    last = KnownBackups(stead.wired.ports.backup).last_verified()
    assert isinstance(last, VerifiedBackup)
    assert last.name == stead.json("backup", "show")["name"]
    looked = Looked("jeex_idea", {}, (), None, last, None)
    missing = {
        age: {each.condition for each in unmet(looked, Ages(86_400.0, age), clock.now())}
        for age in (86_400.0, 0.001)
    }
    assert Condition.BACKUP not in missing[86_400.0]
    assert Condition.BACKUP in missing[0.001]


def status_tells_of_it(stead: LiveStead) -> None:
    """See that a glance shows the backup, that none was proven yet, and that WAL arrives."""
    name = stead.json("backup", "show")["name"]
    said = stead.run("status").stdout
    for pattern in (rf"last base backup +\d+ (s|min) ago +{name}", r"last proven restore +never"):
        assert re.search(pattern, said), said
    told = stead.json("status")["backups"]
    assert told["last_backup"]["backup"] == name
    assert told["last_backup"]["ending"] == "done"
