"""The starter manifest that `pgstead init` writes."""

from __future__ import annotations

from pgstead.manifest import names

_TEMPLATE = """\
# A PostgreSQL foundation. `pgstead up` makes it run, `pgstead prove` shows that it holds.
# `pgstead schema` prints what may stand here, `pgstead explain KEY` where a value comes from.
version = 1
name = {name}
environment = "development" # test, staging, production

[server]
major = 18 # 15 to 18
port = {port}
workload = "oltp" # mixed, analytics
storage = "ssd" # nvme, network, hdd
# memory = "4GB" # an upper bound; else the machine's or the cgroup's
# cpus = 2

# A setting chosen over the derived one; production asks for the reason.
# [server.settings]
# work_mem = {{ value = "32MB", reason = "large sorts in reports" }}

[networks]
allow = ["127.0.0.1/32", "::1/128"] # everything else is refused
# listen = ["10.0.0.5"] # needed for networks beside loopback

# [tls] # without it pgstead keeps a CA of its own
# ca = "certificates/ca.crt"
# certificate = "certificates/server.crt"
# key = "certificates/server.key"

[pooler]
port = {pooler_port}

[[databases]]
name = {name}
collation = "C.UTF-8"
# Roles are named after the database (`..._owner`, `..._app`, ...) unless named here.
# app = "orders"
# extensions = ["pgcrypto"]
{application}
[databases.pool] # of each process
size = 20
max_overflow = 10
timeout = "5s"

[[databases.processes]] # who connects; the connection budget counts them
name = "api"
count = 1

# [databases.service] # an HTTP service that `up` runs too
# application = "{module}:create_app"
# port = 8000
"""

_APPLICATION = """\
migrations = "." # directory with alembic.ini
models = "app:Base"
"""
_NO_APPLICATION = """\
# migrations = "." # directory with alembic.ini
# models = "orders.models:Base"
"""


def quoted(text: str) -> str:
    """Quote a text for TOML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text(name: str, *, port: int = 5432, pooler_port: int = 6432, application: bool = False) -> str:
    """Return a commented starter manifest. Raises ValueError for an impossible name.

    With `application` it names the models and migrations of `pgstead.manifest.skeleton`.
    """
    checked = names.checked(name)
    return _TEMPLATE.format(
        name=quoted(checked),
        port=port,
        pooler_port=pooler_port,
        application=_APPLICATION if application else _NO_APPLICATION,
        module="app" if application else "orders.api",
    )
