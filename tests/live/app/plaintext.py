"""Doors without TLS, so that a proxy between can read what passes. For tests only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum

import psycopg

from pgstead.app.environment import Settings
from pgstead.app.target import Driver
from tests.live.app.work import settings
from tests.live.cutting import Proxy
from tests.live.scratch import NASTY, Scratch


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


def through(scratch: Scratch, driver: Driver, proxy: Proxy, **changed: object) -> Settings:
    """Return the settings of an application that comes through a proxy."""
    known = settings(scratch, driver, **changed)
    target = replace(known.target, port=proxy.own, sslmode="disable")
    return replace(known, target=target)


def pooler_takes_plaintext(scratch: Scratch, server_port: int | None = None) -> None:
    """Let the pooler take clients without TLS; go to the server by another port where given."""
    ini = scratch.folder / "pooler" / "pgbouncer.ini"
    text = ini.read_text().replace("client_tls_sslmode = require", "client_tls_sslmode = allow")
    if server_port is not None:
        text = text.replace(f"port={scratch.port}", f"port={server_port}")
        text = text.replace("server_tls_sslmode = verify-full", "server_tls_sslmode = disable")
    ini.write_text(text)
    scratch.restart_pooler()


def answers(scratch: Scratch) -> bool:
    """Say whether the server lets a role of the application in."""
    try:
        psycopg.connect(
            host="127.0.0.1",
            port=scratch.port,
            dbname="jeex_idea",
            user="jeex_idea_app",
            password=NASTY,
            sslmode="disable",
        ).close()
    except psycopg.OperationalError:
        return False
    return True
