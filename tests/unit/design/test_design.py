"""The design as a whole: settings, reasons, certificates, programs, explanations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstead.catalog import lookup
from pgstead.design.explain import explain
from pgstead.errors import ManifestError, UsageError
from pgstead.model.resources import Certificate, Cluster, Database, Extension, Setting
from tests.unit.design.world import MODULES, build, composed, host, text

MAJORS = [15, 16, 17, 18]
FIGURES = {  # SRV-3, SRV-9, SRV-10
    "wal_buffers": "16MB",
    "checkpoint_completion_target": "0.9",
    "default_statistics_target": "100",
    "random_page_cost": "1.1",
    "effective_io_concurrency": "200",
    "max_connections": "200",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "wal_level": "replica",
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "5",
    "log_min_duration_statement": "1s",
    "log_temp_files": "0",
    "log_lock_waits": "on",
    "autovacuum_max_workers": "4",
    "autovacuum_naptime": "30s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.025",
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "ssl_min_protocol_version": "TLSv1.3",
}


def test_the_figures_that_the_systems_name_are_kept() -> None:
    told = composed().settings
    assert {name: told[name] for name in FIGURES} == FIGURES
    assert told["log_line_prefix"].startswith("%t [%p]: [%l-1] user=%u,db=%d")
    assert "jsonlog" in told["log_destination"]


@pytest.mark.parametrize("major", MAJORS)
def test_every_setting_exists_in_its_major_version_and_may_be_set(major: int) -> None:
    for name in composed(text(major=major)).settings:
        assert lookup.spec(major, name).context != "internal"


@pytest.mark.parametrize("major", MAJORS)
def test_every_derived_value_says_why_it_is_what_it_is(major: int) -> None:
    design = composed(text(major=major))
    wanted = [f"server.{name}" for name in design.settings]
    wanted += [f"pooler.{name}" for name in design.pooler_settings]
    for name in wanted:
        reason = design.reasons[name]
        assert reason.formula, name
        assert reason.source, name


def test_asynchronous_io_is_sized_on_18_and_absent_before() -> None:
    assert composed(machine=host(cpus=32)).settings["io_workers"] == "16"
    assert composed(machine=host(cpus=1)).settings["io_workers"] == "3"
    assert composed().settings["io_method"] == "worker"
    assert "io_method" not in composed(text(major=17)).settings


def test_io_uring_is_the_manifests_choice() -> None:
    design = composed(text(server='[server.settings]\nio_method = "io_uring"'))
    assert design.settings["io_method"] == "io_uring"


@pytest.mark.parametrize("storage", ["nvme", "ssd", "network", "hdd"])
def test_costs_follow_the_storage(storage: str) -> None:
    told = composed(text(server=f'storage = "{storage}"')).settings
    assert (float(told["random_page_cost"]) > 2) == (storage == "hdd")


def test_a_chosen_setting_wins_whatever_its_letters_and_is_explained() -> None:
    manifest = text(
        server='[server.settings]\nRandom_Page_Cost = { value = 1.7, reason = "measured" }'
    )
    design = composed(manifest)
    assert design.settings["random_page_cost"] == "1.7"
    reason = explain(design, "server.random_page_cost")
    assert reason.inputs["reason"] == "measured"
    assert reason.inputs["derived value"] == "1.1"
    assert reason.source == "server.settings.random_page_cost"


def test_keepalives_are_not_compared_where_the_server_shows_its_socket() -> None:
    shown = {s.name for s in composed().stead.all(Setting)}
    assert "tcp_keepalives_idle" not in shown
    assert "work_mem" in shown


def test_a_module_that_the_build_lacks_is_not_loaded() -> None:
    design = composed(binaries=replace(build(), modules=MODULES - {"auth_delay"}))
    assert "auth_delay" not in design.settings["shared_preload_libraries"]
    assert "auth_delay.milliseconds" not in design.settings
    assert design.reasons["server.shared_preload_libraries"].inputs["missing"] == "auth_delay"


@pytest.mark.parametrize(
    ("major", "provider"), [(15, "libc"), (16, "libc"), (17, "builtin"), (18, "builtin")]
)
def test_sorting_is_the_servers_own_from_17_on(major: int, provider: str) -> None:
    design = composed(text(major=major))
    cluster = next(design.stead.all(Cluster))
    database = next(design.stead.all(Database))
    assert cluster.checksums
    assert (cluster.locale_provider, database.locale_provider) == (provider, provider)
    assert (cluster.encoding, database.encoding) == ("UTF8", "UTF8")


def test_another_collation_is_libcs() -> None:
    design = composed(text(database='collation = "de_DE.UTF-8"'))
    database = next(design.stead.all(Database))
    assert (database.locale_provider, database.locale) == ("libc", "de_DE.UTF-8")


def test_statement_statistics_and_the_manifests_extensions_are_in_each_database() -> None:
    design = composed(text(database='extensions = ["pgcrypto", "pg_stat_statements"]'))
    assert sorted(e.name for e in design.stead.all(Extension)) == ["pg_stat_statements", "pgcrypto"]


def test_certificates_speak_for_every_name_that_clients_verify() -> None:
    manifest = text(
        more='[networks]\nlisten = ["10.0.0.5"]\nallow = ["10.0.0.0/8"]\n'
        '[tls]\nhostnames = ["db.example"]\nclients = ["laptop"]\n'
    )
    found = {c.name: c for c in composed(manifest).stead.all(Certificate)}
    assert set(found) == {"ca", "server", "pooler", "client/laptop"}
    named = {"localhost", "127.0.0.1", "::1", "box.example", "db.example", "10.0.0.5"}
    assert set(found["server"].names) == set(found["pooler"].names) == named


def test_the_users_own_certificates_are_taken_and_not_made() -> None:
    manifest = text(more='[tls]\nca = "a/ca.crt"\ncertificate = "a/s.crt"\nkey = "a/s.key"\n')
    design = composed(manifest)
    assert all(c.provided for c in design.stead.all(Certificate))
    assert design.initial == {
        "tls/ca.crt": "a/ca.crt", "tls/server.crt": "a/s.crt", "tls/server.key": "a/s.key",
    }  # fmt: skip


def test_where_client_certificates_are_required_every_role_gets_one() -> None:
    manifest = text(more='[tls]\nclient_certificates = "required"\n')
    design = composed(manifest)
    names = {c.name for c in design.stead.all(Certificate)}
    assert {"client/shop_app", "client/shop_migrator", "client/pgstead_monitor"} <= names
    assert design.pooler_settings["client_tls_sslmode"] == "verify-ca"


def test_a_wildcard_address_is_not_bound_twice() -> None:
    manifest = text(more='[networks]\nlisten = ["0.0.0.0"]\nallow = ["10.0.0.0/8"]\n')
    design = composed(manifest)
    assert design.settings["listen_addresses"] == "::1,0.0.0.0"
    door = design.door("direct")
    assert door is not None
    assert door.hosts[0] == "127.0.0.1"


def test_a_service_runs_as_its_own_user_from_its_own_directory() -> None:
    manifest = text(
        database='service = { application = "shop.api:app", port = 8000, directory = "../x" }'
    )
    design = composed(manifest)
    (program,) = (p for p in design.programs if p.kind == "service")
    assert (program.name, program.user) == ("api-shop", "nobody")
    assert program.command[:3] == ("/venv/bin/python", "-m", "pgstead.serve")
    assert program.directory == "/srv/project/../x"
    assert [s.port for s in design.services] == [8000]


def test_pooled_applications_renew_connections_before_the_pooler_cuts_them() -> None:
    def recycle(pool: str, more: str = "") -> int:
        return composed(text(database=f"pool = {{ {pool} }}", more=more)).databases[0].pool_recycle

    alone = "[pooler]\nenabled = false\n"
    assert recycle("") == 840
    assert recycle('recycle = "1h"') == 840
    assert recycle('recycle = "10min"') == 600
    assert recycle("", alone) == 1800
    assert recycle('recycle = "1h"', alone) == 3600
    lowered = composed(text(database='pool = { recycle = "1h" }'))
    assert "pool-recycle-lowered" in {notice.code for notice in lowered.notices}


@pytest.mark.parametrize(("environment", "sample"), [("test", "shop.sample"), ("production", "")])
def test_production_knows_no_sample_data(environment: str, sample: str) -> None:
    manifest = text(top=f'environment = "{environment}"', database='sample = "shop.sample"')
    assert composed(manifest).databases[0].sample == sample


def test_binaries_of_another_major_are_refused() -> None:
    with pytest.raises(ManifestError) as caught:
        composed(binaries=build(17))
    assert caught.value.key == "server.major"


def test_a_server_that_nobody_could_reach_is_refused() -> None:
    with pytest.raises(ManifestError, match="nobody could connect"):
        composed(text(more="[pooler]\nenabled = false\n"), binaries=build(tls=False))


def test_explain_takes_the_short_name_where_it_is_clear() -> None:
    design = composed()
    assert explain(design, "work_mem") is explain(design, "server.work_mem")
    assert "shop: application" in explain(design, "budget.clients").formula


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("server.work_memm", 'did you mean "server.work_mem"?'),
        ("shared_bufers", 'did you mean "shared_buffers"?'),
        ("log_connections", "say which: pooler.log_connections, server.log_connections"),
        ("zzz", "`pgstead explain` alone lists the names"),
    ],
)
def test_explain_helps_where_a_name_is_wrong_or_unclear(asked: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(composed(), asked)
    assert caught.value.hint == hint


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8))
def test_the_name_of_the_stead_never_breaks_the_servers_own(name: str) -> None:
    try:
        design = composed(text().replace('name = "shop"', f"name = {_quoted(name)}", 1))
    except ManifestError:
        return
    assert all(" " <= c <= "~" for c in design.settings["cluster_name"])


def _quoted(name: str) -> str:
    escaped = "".join(f"\\U{ord(c):08x}" for c in name)
    return f'"{escaped}"'


def test_the_same_inputs_make_the_same_design() -> None:
    assert composed() == composed()
