"""Doors without TLS, so that a proxy between can read what passes. For tests only."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum

from pgstead.app.environment import Settings
from pgstead.app.target import Driver
from tests.live.app.work import settings
from tests.live.cutting import Proxy
from tests.live.scratch import Scratch


class Way(StrEnum):
    """Where the proxy stands."""

    DIRECT = "client | server"
    BEFORE = "client | pooler - server"
    BEHIND = "client - pooler | server"


@contextmanager
def plaintext(scratch: Scratch) -> Iterator[None]:
    """Let clients of loopback in without TLS."""
    rules = scratch.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(before + "hostnossl all all 127.0.0.1/32 scram-sha-256\n")
    try:
        _reload(scratch)
        yield
    finally:
        rules.write_text(before)
        _reload(scratch)


def _reload(scratch: Scratch) -> None:
    with scratch.admin() as admin:
        admin.execute("SELECT pg_reload_conf()")
        for _ in range(100):
            row = admin.execute(
                "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL"
            ).fetchone()
            if row == (0,):
                return
            time.sleep(0.05)


def through(
    scratch: Scratch, driver: Driver, proxy: Proxy, way: Way = Way.DIRECT, **changed: object
) -> Settings:
    """Return the settings of an application whose connections pass a proxy."""
    known = settings(scratch, driver, **changed)
    if way is Way.BEHIND:
        assert scratch.pooler_port is not None
        target = replace(known.target, port=scratch.pooler_port, pooled=True)
    else:
        target = replace(known.target, port=proxy.own, sslmode="disable", pooled=way is Way.BEFORE)
    return replace(known, target=target)


def pooler_takes_plaintext(scratch: Scratch, server_port: int) -> None:
    """Let the pooler take clients without TLS, and reach the server so by a port."""
    ini = scratch.folder / "pooler" / "pgbouncer.ini"
    text = ini.read_text().replace("client_tls_sslmode = require", "client_tls_sslmode = allow")
    text = re.sub(r"(?m)^(jeex_idea = .* port=)\d+", rf"\g<1>{server_port}", text)
    text = text.replace("server_tls_sslmode = verify-full", "server_tls_sslmode = disable")
    ini.write_text(text)
    scratch.restart_pooler()
