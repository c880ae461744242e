"""PgBouncer's settings, each with its reason (POL-1, POL-2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pgstead.catalog import pooler as catalog
from pgstead.design import audit, tls
from pgstead.design.budget import Connections
from pgstead.design.names import IDLE, LOOKUP, MONITOR
from pgstead.design.reasons import Value
from pgstead.manifest.document import Manifest
from pgstead.model.design import HbaRule, PoolerDatabase
from pgstead.model.host import HostFacts, PoolerBuild, ServerBuild
from pgstead.model.layout import Layout
from pgstead.model.resources import PoolerSetting

_LOOKUP_QUERY = "SELECT uname, phash FROM pgstead.pooler_lookup($1)"
_OPTIONS_PARSED = (1, 20, 0)  # the startup parameter `options`; before, it is refused whole
_OPTIONS_SAFE = (1, 26, 1)  # CVE-2026-107349
_KEYS_QUOTED = (1, 25, 0)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


def derive(
    manifest: Manifest,
    host: HostFacts,
    server: ServerBuild,
    build: PoolerBuild,
    layout: Layout,
    connections: Connections,
) -> dict[str, Value]:
    """Return every setting that pgstead derives, by name, as far as the version has it."""
    values = [
        *_access(manifest, host, build, layout),
        *_tls(manifest, server, layout),
        *_pools(connections),
        *_times(manifest),
        *_statements(build),
        *_logging(manifest, layout),
    ]
    return {v.name: v for v in values if catalog.exists(v.name, build.version)}


def _access(
    manifest: Manifest, host: HostFacts, build: PoolerBuild, layout: Layout
) -> Iterator[Value]:
    addresses = ",".join(tls.listened(manifest, host))
    yield Value("listen_addr", addresses, "loopback and networks.listen", "networks.listen")
    yield Value("listen_port", str(manifest.pooler.port), "pooler.port", "pooler.port")
    yield Value("unix_socket_dir", str(layout.pooler), "the console, in a 0700 directory", "DESIGN")
    yield Value("unix_socket_mode", "0700", "for the pooler's user alone", "DESIGN")
    # The console needs no password: user `pgbouncer` by the pooler's own OS user, on the
    # socket (https://www.pgbouncer.org/usage.html#admin-console). So auth_file holds one role.
    yield Value("admin_users", "", "the OS user of the pooler, on its socket", "ROL-1")
    yield Value("stats_users", MONITOR, "the monitoring role reads statistics", "POL-3")
    if hba(manifest, host):
        why = "SCRAM only, and only from the stated networks"
        yield Value("auth_type", "hba", why, "POL-2, ROL-6")
        rules = str(layout.pooler / "pg_hba.conf")
        yield Value("auth_hba_file", rules, "the stated networks", "ROL-6")
    else:
        yield Value("auth_type", "scram-sha-256", "SCRAM only; loopback alone is served", "POL-2")
    if _looks_up_by_entry(build):
        yield Value("auth_user", "", "each of [databases] names it, the console none", "POL-2")
    else:
        yield Value("auth_user", LOOKUP, "a role that looks up passwords, nothing else", "POL-2")
    looked_up = next((e.name for e in manifest.databases if writable(e.name, build)), "")
    if looked_up:
        yield Value(
            "auth_dbname",
            looked_up,
            "look-ups go to one database, the console's too",
            "POL-2, POL-3",
        )
    yield Value("auth_query", _LOOKUP_QUERY, "honours VALID UNTIL, hides superusers", "POL-2")
    yield Value("auth_file", str(layout.pooler / "userlist.txt"), "the look-up role alone", "POL-2")
    ignored, why = "extra_float_digits", "POL-1"
    if _OPTIONS_PARSED <= build.version < _OPTIONS_SAFE:
        ignored, why = "extra_float_digits,options", "POL-1, CVE-2026-107349"
    yield Value(
        "ignore_startup_parameters",
        ignored,
        "drivers send it; all else is refused, not dropped",
        why,
    )


def _tls(manifest: Manifest, server: ServerBuild, layout: Layout) -> Iterator[Value]:
    ca = str(layout.ca)
    certificate, key = str(layout.tls / "pooler.crt"), str(layout.tls / "pooler.key")
    required = manifest.tls.client_certificates == "required"
    mode = "verify-ca" if required else "require"
    yield Value("client_tls_sslmode", mode, "no plaintext; tls.client_certificates", "TLS-1, TLS-2")
    yield Value("client_tls_protocols", "tlsv1.3", "TLS 1.3 only", "TLS-1")
    yield Value("client_tls_ca_file", ca, "clients' certificates are judged by it", "TLS-2")
    yield Value("client_tls_cert_file", certificate, "verify-full works", "TLS-2")
    yield Value("client_tls_key_file", key, "verify-full works", "TLS-2")
    if not server.tls:
        why = "the server has no TLS; its Unix socket is not encrypted"
        yield Value("server_tls_sslmode", "disable", why, "TLS-1")
        return
    yield Value("server_tls_sslmode", "verify-full", "the pooler verifies the server", "TLS-1")
    yield Value("server_tls_protocols", "tlsv1.3", "TLS 1.3 only", "TLS-1")
    yield Value("server_tls_ca_file", ca, "the pooler verifies the server", "TLS-1")


def _pools(connections: Connections) -> Iterator[Value]:
    figures = connections.figures
    inputs = {
        "applications": f"{connections.clients} clients (pgstead explain budget)",
    }
    yield Value("pool_mode", "transaction", "a server connection per transaction", "POL-1")
    yield Value(
        "max_client_conn",
        str(connections.max_client_conn),
        "the applications' sum and 20 for people, at least 100",
        "POL-1, SRV-5",
        inputs,
    )
    yield Value("default_pool_size", str(figures.pool), "20 per role and database", "POL-1")
    yield Value(
        "min_pool_size", str(min(5, figures.pool or 5)), "5, kept while a client is there", "POL-1"
    )
    yield Value("reserve_pool_size", str(figures.reserve), "5 more when clients wait", "POL-1")
    yield Value("reserve_pool_timeout", "5", "after 5 s of waiting", "POL-1")
    yield Value("max_db_connections", str(figures.per_database), "50 per database", "POL-1")
    yield Value("max_user_connections", str(figures.per_user), "50 per role", "POL-1")


def _times(manifest: Manifest) -> Iterator[Value]:
    shortest = min(entry.pool.timeout for entry in manifest.databases)
    wait = max(1, int(shortest * 0.8))
    inputs = {"shortest pool.timeout": f"{shortest:g} s"}
    below = "80 % of the shortest pool.timeout: the client hears of it before it gives up"
    yield Value("query_wait_timeout", str(wait), below, "POL-4", inputs)
    yield Value("client_login_timeout", str(wait), "as query_wait_timeout", "POL-4", inputs)
    yield Value(
        "server_connect_timeout",
        str(max(1, wait // 2)),
        "half of it: time for a second try",
        "POL-5",
        inputs,
    )
    yield Value("server_login_retry", "1", "a server that restarts is tried every second", "REL-1")
    yield Value("server_idle_timeout", "600", "600 s", "POL-1")
    yield Value("server_lifetime", "3600", "an hour: backends give memory back", "POL-5")
    yield Value("server_check_delay", "30", "a connection idle for 30 s is tried first", "POL-5")
    yield Value(
        "client_idle_timeout", str(IDLE), "an inactive session ends after 15 minutes", "SRV-8"
    )
    for name, value in (
        ("tcp_keepalive", "1"),
        ("tcp_keepidle", "60"),
        ("tcp_keepintvl", "10"),
        ("tcp_keepcnt", "5"),
    ):
        yield Value(name, value, "as the server's", "SRV-3")


def _statements(build: PoolerBuild) -> Iterator[Value]:
    # Asked for by POL-1; in transaction mode PgBouncer runs it only when told "always". What
    # keeps clients apart: applications set nothing beyond their transaction.
    yield Value("server_reset_query", "DISCARD ALL", "stated; not run in transaction mode", "POL-1")
    if build.prepares:
        yield Value("max_prepared_statements", "200", "protocol-level statements", "POL-6")


def _logging(manifest: Manifest, layout: Layout) -> Iterator[Value]:
    if audit.wanted(manifest):
        yield Value(
            "application_name_add_host", "1", "the trail says where a client came from", "AUD-2"
        )
    yield Value("logfile", str(layout.pooler / "pgbouncer.log"), "in the state directory", "ROL-7")
    for name in ("log_connections", "log_disconnections", "log_stats"):
        yield Value(name, "0", "off by default", "POL-9")
    yield Value("log_pooler_errors", "1", "refusals are always logged", "POL-9, ROL-7")


def hba(manifest: Manifest, host: HostFacts) -> tuple[HbaRule, ...]:
    """Return the pooler's access rules, none where it listens on loopback alone (ROL-6)."""
    if not manifest.networks.listen and host.network is None:
        return ()
    networks = (*tls.near(host), *tls.stated(manifest, host))
    rules = [HbaRule("local", "all", "all", "", "scram-sha-256")]
    rules += [HbaRule("hostssl", "all", "all", n, "scram-sha-256") for n in networks]
    # The address `all` exists since 1.23 only.
    rules += [HbaRule("host", "all", "all", n, "reject") for n in ("0.0.0.0/0", "::/0")]
    return tuple(rules)


def databases(
    manifest: Manifest, build: PoolerBuild, connections: Connections
) -> tuple[PoolerDatabase, ...]:
    """Return the entries of [databases]; `*` stands for those whose name cannot be written."""
    figures = connections.figures
    written = [e.name for e in manifest.databases if writable(e.name, build)]
    names = written if len(written) == len(manifest.databases) else [*written, "*"]
    looks_up = LOOKUP if _looks_up_by_entry(build) else ""
    return tuple(
        PoolerDatabase(name, figures.pool, figures.reserve, figures.per_database, looks_up)
        for name in names
    )


def _looks_up_by_entry(build: PoolerBuild) -> bool:
    """Say whether the console has to be left without a look-up.

    Before auth_dbname it has no database to look anybody up in: with an auth_user it never answers
    who is unknown, and keeps his place of max_client_conn until it is started anew, beyond
    client_login_timeout (https://github.com/pgbouncer/pgbouncer/issues/798). Without, it refuses.
    """
    return not catalog.exists("auth_dbname", build.version)


def writable(name: str, build: PoolerBuild) -> bool:
    """Say whether pgbouncer.ini can hold a database's name as a key.

    Its parser takes letters, digits and `_.-` bare; in single quotes, without an escape, all
    else since 1.25 (lib/usual/cfparser.c, whatever config.md says about double quotes).
    """
    if _PLAIN.fullmatch(name):
        return True
    return build.version >= _KEYS_QUOTED and "'" not in name


def resources(values: Mapping[str, Value]) -> Iterator[PoolerSetting]:
    """Yield what SHOW CONFIG must tell."""
    for value in values.values():
        option = catalog.option(value.name)
        shown = catalog.canonical(value.name, value.text)
        # A text that the file no longer has keeps its value over a RELOAD: it has no default.
        gone = value.name == "auth_user" and not value.text
        yield PoolerSetting(value.name, shown, reloadable=option.reloadable and not gone)
