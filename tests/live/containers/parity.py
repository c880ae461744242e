"""What two running steads of one manifest are compared by, and which differences are explained."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Ask = Callable[[str, str], str]  # (database, SQL) -> what psql -XAt prints, as the superuser

CLUSTER = r"""
SELECT json_build_object(
  'settings', (SELECT json_object_agg(name, setting ORDER BY name) FROM pg_catalog.pg_settings),
  'files', (SELECT json_object_agg(name, setting ORDER BY name)
            FROM pg_catalog.pg_file_settings WHERE applied),
  'roles', (SELECT json_object_agg(rolname, to_jsonb(r) - 'oid' - 'rolpassword' ORDER BY rolname)
            FROM pg_catalog.pg_roles AS r),
  'memberships', (SELECT json_agg(
                    format('%s in %s, admin %s, inherit %s, set %s', member::regrole,
                           roleid::regrole, admin_option, inherit_option, set_option)
                    ORDER BY member::regrole::text, roleid::regrole::text)
                  FROM pg_catalog.pg_auth_members),
  'hba', (SELECT json_agg(concat_ws(' ', type, database, user_name, address, netmask, auth_method,
                                    options) ORDER BY rule_number)
          FROM pg_catalog.pg_hba_file_rules
          -- the network of the containers stands for loopback there, and is let in as that is
          WHERE address IS NULL OR NOT address LIKE '10.213.%'),
  'databases', (SELECT json_object_agg(datname, json_build_array(datdba::regrole,
                  pg_encoding_to_char(encoding), datlocprovider, datcollate, datctype, datlocale,
                  datconnlimit, datacl::text) ORDER BY datname)
                FROM pg_catalog.pg_database WHERE datname NOT LIKE 'pgstead\_proof\_%')
)
"""
DATABASE = """
SELECT json_build_object(
  'extensions', (SELECT json_object_agg(extname, extversion ORDER BY extname)
                 FROM pg_catalog.pg_extension),
  'policies', (SELECT json_object_agg(schemaname || '.' || tablename || '.' || policyname,
                 to_jsonb(p) ORDER BY schemaname, tablename, policyname)
               FROM pg_catalog.pg_policies AS p),
  'privileges', (SELECT json_object_agg(c.oid::regclass, json_build_array(relowner::regrole,
                   relacl::text, relrowsecurity, relforcerowsecurity)
                   ORDER BY c.oid::regclass::text)
                 FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n
                   ON n.oid = relnamespace
                 WHERE relkind IN ('r', 'p', 'v', 'S') AND nspname NOT LIKE 'pg\\_%'
                   AND nspname <> 'information_schema')
)
"""

# Each says why the same manifest gives another value in containers.
EXPLAINED: Mapping[str, str] = {
    "listen_addresses": "it listens on its container's address, which only containers reach",
    "port": "5432 in the network of the containers; the manifest's is published",
    "config_file": "the state directory is a volume",
    "data_directory": "the state directory is a volume",
    "hba_file": "the state directory is a volume",
    "ident_file": "the state directory is a volume",
    "log_directory": "the state directory is a volume",
    "ssl_ca_file": "the state directory is a volume",
    "ssl_cert_file": "the state directory is a volume",
    "ssl_key_file": "the state directory is a volume",
    "unix_socket_directories": "the state directory is a volume",
    "external_pid_file": "the state directory is a volume",
    "max_stack_depth": "follows the stack's limit of the process, which the engine sets",
    "ssl_library": "of the build",
    "krb_server_keyfile": "of the build",
    "huge_pages_status": "of the machine at its start",
    "application_name": "of the session that asks",
    "statement_timeout": "of the session that asks: `files` has the server's",
    "server_version": "Debian names its package in it",
    "tcp_keepalives_count": "of the socket that asks",
    "tcp_keepalives_idle": "of the socket that asks",
    "tcp_keepalives_interval": "of the socket that asks",
}


def taken(ask: Ask, databases: tuple[str, ...]) -> dict[str, Any]:
    """Return what a stead is, as plain values."""
    told: dict[str, Any] = json.loads(ask("postgres", CLUSTER))
    return {**told, **{f"in {name}": json.loads(ask(name, DATABASE)) for name in databases}}


def differences(left: Any, right: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Return where two trees of values differ, by path."""
    if isinstance(left, dict) and isinstance(right, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in sorted({*left, *right}):
            below = f"{path}/{key}" if path else key
            found |= differences(left.get(key), right.get(key), below)
        return found
    return {} if left == right else {path: (left, right)}


def unexplained(found: Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    """Return the differences that nothing here explains."""
    return {path: pair for path, pair in found.items() if not _explained(path)}


def _explained(path: str) -> bool:
    """Say whether it is a setting that containers are known to change; never one of a session."""
    where, _, name = path.partition("/")
    return (
        where in ("settings", "files") and name in EXPLAINED and path != "files/statement_timeout"
    )
