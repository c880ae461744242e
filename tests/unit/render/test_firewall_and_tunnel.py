"""The firewall's rules and the tunnel's configuration, as text; tests/host loads them."""

from __future__ import annotations

import re

from pgstead.render import named_files, nftables, tunnel
from tests.unit.design.world import composed, text

NETWORKS = '\n[networks]\nallow = ["127.0.0.1/32", "10.1.0.0/16", "fd00::/8"]\nlisten = ["::"]\n'


def test_the_rules_name_the_ports_and_the_networks_of_the_manifest() -> None:
    said = nftables.text(composed(text(more=NETWORKS)))
    assert "tcp dport != { 5432, 6432 } accept" in said
    assert "elements = { 10.1.0.0/16 };" in said
    assert "elements = { fd00::/8 };" in said
    # loopback is let in by its interface: an address can be forged
    assert "127.0.0.1" not in said
    assert said.index("accept") < said.index("counter drop")


def test_a_stead_for_itself_alone_lets_nobody_in() -> None:
    said = nftables.text(composed())
    assert "elements" not in said
    assert 'iif "lo" accept' in said


def test_a_name_of_any_kind_is_a_table() -> None:
    design = composed(text().replace('name = "shop"\n\n\n[server]', 'name = "ö-1"\n\n[server]'))
    assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", nftables.table(design))


def test_the_tunnel_leads_to_the_doors_and_nowhere_else() -> None:
    design = composed(text(more=NETWORKS))
    told = tunnel.server(design)
    assert "PermitOpen 127.0.0.1:5432 127.0.0.1:6432" in told
    assert "LocalForward 127.0.0.1:15432 127.0.0.1:5432" in tunnel.client(design)
    assert told.rstrip().endswith("Match all")


def test_the_example_environment_has_every_variable_and_no_value_that_counts() -> None:
    said = named_files.environment(composed())
    assert all(not line or line.startswith("#") for line in said.splitlines())
    assert "#SHOP_DATABASE_URL=postgresql+asyncpg://shop_app@127.0.0.1:6432/shop" in said
    assert "Also read as DB_POOL_SIZE." in said


def test_the_tuning_holds_what_was_sized_and_nothing_of_the_place() -> None:
    made = {f.path.name: f for f in named_files.files(composed(), "/venv/bin/python")}
    lines = made["postgres-tuning.conf"].text.splitlines()
    names = {line.split(" =")[0] for line in lines if not line.startswith("#")}
    assert {"shared_buffers", "work_mem", "autovacuum_naptime"} <= names
    assert not any("/srv" in line for line in lines)
    assert made["backup-postgres.sh"].mode == 0o755
