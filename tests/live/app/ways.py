"""The ways from an application to the server: direct, and through each PgBouncer at hand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from pgstead.app.connection import Figures, read
from pgstead.app.environment import Settings
from pgstead.app.target import Driver, Target
from tests.live.scratch import NASTY, Scratch
from tests.live.test_sessions import pooler_lab

WAYS = ("direct", "at hand", "trixie", "forky")


def start_way(scratch: Scratch, way: str, pool_size: int = 3) -> None:
    """Start the pooler of a way, where it has one."""
    if way == "direct":
        return
    named = "PGSTEAD_TEST_PGBOUNCER"
    before = os.environ.get(named)
    if way != "at hand":
        os.environ[named] = str(pooler_lab(way))
    try:
        scratch.start_pooler(pool_size=pool_size)
    finally:
        os.environ.pop(named, None)
        if before is not None:
            os.environ[named] = before


@contextmanager
def way_to(scratch: Scratch, way: str, pool_size: int = 3) -> Iterator[Scratch]:
    """Give a server with the pooler of a way before it; the pooler is stopped afterwards."""
    start_way(scratch, way, pool_size)
    try:
        yield scratch
    finally:
        if scratch.pooler is not None:
            scratch.pooler.kill()
            scratch.pooler.wait(120)
            scratch.pooler = scratch.pooler_port = None
            shutil.rmtree(scratch.folder / "pooler")
            scratch.write_connection("jeex_idea")


@contextmanager
def impatient(scratch: Scratch) -> Iterator[None]:
    """Have the pooler let nobody wait longer than a second, for as long as the block lasts.

    Only so long: to open a connection to the server counts in what somebody waits.
    """
    with psycopg.connect(
        host="127.0.0.1",
        port=scratch.pooler_port,
        dbname="pgbouncer",
        user="jeex_idea_admin",
        password=NASTY,
        autocommit=True,
    ) as console:
        console.execute("SET query_wait_timeout = 1")
        try:
            yield
        finally:
            console.execute("SET query_wait_timeout = 120")


def settings_to(
    scratch: Scratch,
    driver: Driver,
    *,
    port: int | None = None,
    figures: Figures | None = None,
) -> Settings:
    """Return settings for what is there now: the pooler, or else the server."""
    return settings_of(scratch.connection, driver, port=port, figures=figures)


def settings_of(
    connection: Path, driver: Driver, *, port: int | None = None, figures: Figures | None = None
) -> Settings:
    """Return settings by a connection file."""
    file = read(connection)
    target = Target.from_file(file, driver=driver)
    if port is not None:
        target = replace(target, port=port)
    return Settings(
        "jeex_idea", "test", target, figures or Figures(3, 0, 30.0, 840), echo=False, file=file
    )
