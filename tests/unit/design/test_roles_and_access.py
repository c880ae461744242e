"""Who there is, what they may do, and from where (ROL)."""

from __future__ import annotations

import pytest

from pgstead.model.design import Design
from pgstead.model.resources import (
    DefaultPrivilege,
    Grant,
    Membership,
    Password,
    Role,
    RoleSetting,
    Routine,
    Schema,
    SecretFile,
)
from tests.unit.design.world import build, composed, pgbouncer, text

POWERS = ("superuser", "createdb", "createrole", "bypassrls")


def setting(design: Design, role: str, name: str, database: str = "") -> str | None:
    """Return a setting bound to a role."""
    found = design.stead.find(RoleSetting, f"{role}/{database}/{name}")
    return found.value if found else None


def test_no_role_of_an_application_has_a_power_of_the_cluster() -> None:
    for role in composed().stead.all(Role):
        if role.name == "postgres":
            continue
        assert not any(getattr(role, power) for power in POWERS), role.name
        assert role.replication == (role.name == "pgstead_backup")


def test_the_owner_cannot_log_in_and_has_no_password() -> None:
    owner = composed().stead.find(Role, "shop_owner")
    assert owner is not None
    assert not owner.login
    assert owner.password is Password.NONE


def test_every_role_that_logs_in_by_password_has_a_secret_of_mode_0600() -> None:
    design = composed()
    by_password = {r.name for r in design.stead.all(Role) if r.password is Password.MATCHES}
    secrets = {s.name: s.mode for s in design.stead.all(SecretFile)}
    assert set(secrets) == by_password
    assert set(secrets.values()) == {0o600}
    assert "postgres" not in secrets


def test_public_is_granted_nothing() -> None:
    design = composed()
    everyone = [
        r for r in (*design.stead.all(Grant), *design.stead.all(DefaultPrivilege))
        if r.grantee == "PUBLIC"
    ]  # fmt: skip
    assert everyone == []


def test_every_role_may_connect_to_its_own_database_only() -> None:
    design = composed(text(more='[[databases]]\nname = "other"\n'))
    for grant in design.stead.all(Grant):
        if grant.object_type == "database" and grant.grantee.startswith(("shop_", "other_")):
            assert grant.grantee.startswith(grant.object_name)
            assert "CREATE" not in grant.privileges


def test_the_application_may_write_rows_and_nothing_else() -> None:
    design = composed()
    found = design.stead.find(DefaultPrivilege, "shop/shop_owner/public/tables/shop_app")
    assert found is not None
    assert found.privileges == ("DELETE", "INSERT", "SELECT", "UPDATE")
    usage = design.stead.find(Grant, "shop/schema/public/shop_app")
    assert usage is not None
    assert usage.privileges == ("USAGE",)


@pytest.mark.parametrize(("major", "maintains"), [(15, False), (16, False), (17, True), (18, True)])
def test_the_admin_maintains_tables_where_the_server_knows_that(
    major: int, maintains: bool
) -> None:
    design = composed(text(major=major))
    found = design.stead.find(DefaultPrivilege, "shop/shop_owner/public/tables/shop_admin")
    assert found is not None
    assert ("MAINTAIN" in found.privileges) == maintains
    assert "TRUNCATE" in found.privileges
    assert found.privileges == tuple(sorted(found.privileges))


def test_what_the_migrator_makes_belongs_to_the_owner() -> None:
    design = composed()
    assert setting(design, "shop_migrator", "role", "shop") == "shop_owner"
    assert design.stead.find(Membership, "shop_owner/shop_migrator") is not None
    assert not [m for m in design.stead.all(Membership) if m.member == "shop_app"]


def test_pooled_roles_are_not_cut_by_the_server_and_direct_ones_are() -> None:
    design = composed()
    assert setting(design, "shop_app", "idle_session_timeout") == "0"
    assert setting(design, "shop_readonly", "idle_session_timeout") == "0"
    assert setting(design, "shop_admin", "idle_session_timeout") == "15min"
    assert setting(design, "shop_migrator", "idle_session_timeout") == "15min"
    assert design.pooler_settings["client_idle_timeout"] == "900"


def test_the_applications_time_outs_need_no_startup_parameter() -> None:
    design = composed(text(database='timeouts = { statement = "1500ms", lock = "2s" }'))
    assert setting(design, "shop_app", "statement_timeout") == "1500ms"
    assert setting(design, "shop_app", "lock_timeout") == "2s"
    assert setting(design, "shop_app", "idle_in_transaction_session_timeout") == "1min"
    assert setting(design, "shop_app", "jit") == "off"
    assert setting(design, "shop_app", "search_path") == "public"


def test_the_look_up_is_for_the_pooler_alone() -> None:
    design = composed()
    routine = design.stead.find(Routine, "shop/pgstead.pooler_lookup(text)")
    assert routine is not None
    assert routine.security_definer
    assert routine.settings == ("search_path=pg_catalog, pg_temp",)
    grants = [g.grantee for g in design.stead.all(Grant) if g.object_type == "function"]
    assert grants == ["pgstead_pooler"]


def test_without_a_pooler_nothing_of_it_is_wanted() -> None:
    design = composed(text(more="[pooler]\nenabled = false\n"))
    assert design.pooler is None
    assert design.pooler_settings == {}
    assert not list(design.stead.all(Routine))
    assert design.stead.find(Role, "pgstead_pooler") is None
    assert design.stead.find(Schema, "shop/pgstead") is None
    assert [program.name for program in design.programs] == ["postgres", "agent"]
    assert not [rule for rule in design.hba if rule.user == "pgstead_pooler"]


def test_the_superuser_comes_by_the_socket_alone() -> None:
    rules = [rule for rule in composed().hba if rule.user in ("postgres", "all")]
    assert rules[0].type == "local"
    assert rules[0].method == "peer"
    assert {rule.method for rule in rules[1:]} == {"reject"}


def test_every_rule_for_the_network_asks_for_tls_and_scram_and_the_rest_is_refused() -> None:
    design = composed()
    admitting = [r for r in design.hba if r.address and r.method != "reject"]
    assert {(r.type, r.method) for r in admitting} == {("hostssl", "scram-sha-256")}
    assert [(r.type, r.database, r.user, r.address, r.method) for r in design.hba[-2:]] == [
        ("host", "all", "all", "all", "reject"),
        ("host", "replication", "all", "all", "reject"),
    ]


def test_only_stated_networks_and_loopback_are_admitted() -> None:
    manifest = text(more='[networks]\nallow = ["10.1.0.0/16"]\nlisten = ["10.1.2.3"]\n')
    design = composed(manifest)
    admitted = {r.address for r in design.hba if r.address and r.method != "reject"}
    assert admitted == {"127.0.0.1/32", "::1/128", "10.1.0.0/16"}
    from_afar = {r.user for r in design.hba if r.address == "10.1.0.0/16"}
    assert "pgstead_pooler" not in from_afar
    assert "pgstead_backup" not in from_afar
    assert {r.address for r in design.pooler_hba if r.method != "reject"} == {"", *admitted}
    assert design.pooler_settings["auth_type"] == "hba"


def test_a_database_is_open_to_its_own_roles_only() -> None:
    design = composed(text(more='[[databases]]\nname = "other"\n'))
    for rule in design.hba:
        if rule.database in ("shop", "other") and not rule.user.startswith("pgstead_"):
            assert rule.user.startswith(rule.database)


def test_a_build_without_tls_opens_no_tcp_port_and_the_pooler_is_the_only_door() -> None:
    design = composed(binaries=build(tls=False), pooler=pgbouncer(1, 18, 0))
    assert design.settings["listen_addresses"] == ""
    assert "ssl" not in design.settings
    assert [door.name for door in design.doors] == ["pooler"]
    assert {rule.method for rule in design.hba if rule.address} == {"reject"}
    pooled = [r for r in design.hba if r.type == "local" and r.user == "shop_app"]
    assert [r.method for r in pooled] == ["scram-sha-256"]
    assert design.pooler_settings["server_tls_sslmode"] == "disable"
    assert design.pooler_settings["client_tls_protocols"] == "tlsv1.3"
    assert "server-without-tls" in {notice.code for notice in design.notices}


def test_names_with_quotes_spaces_and_percent_signs_reach_every_resource() -> None:
    manifest = text(more="[[databases]]\nname = 'a \"b\" 50% d\\e'\n")
    design = composed(manifest)
    plan = design.database('a "b" 50% d\\e')
    assert plan is not None
    assert design.stead.find(Role, f"{plan.name}_app") is not None
    assert str(design.layout.connection(plan.name)).endswith('a "b" 50% d\\e.json')
