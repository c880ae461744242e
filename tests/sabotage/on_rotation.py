"""Sabotages of rotation."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from pgstead.host.authority import certificate_pem
from pgstead.host.clock import now
from pgstead.host.minting import Mint
from pgstead.model.design import Design
from pgstead.model.resources import Certificate
from tests.sabotage.damage import sabotage
from tests.sabotage.scene import Scene

YEAR = 365 * 86_400


@sabotage("ROT-001")
def a_password_is_a_year_old(scene: Scene) -> Iterator[Design | None]:
    """Nobody changed the application's password."""
    path = scene.state / "secrets" / scene.plan.app
    seen = path.stat()
    os.utime(path, (time.time() - YEAR, time.time() - YEAR))
    try:
        yield None
    finally:
        os.utime(path, (seen.st_atime, seen.st_mtime))


@sabotage("ROT-002", also=("ROL-004",))
def a_stand_in_was_left(scene: Scene) -> Iterator[Design | None]:
    """A rotation was killed, and nobody finished it."""
    name = f"{scene.plan.app}_standin"
    with scene.done_and_undone(f"CREATE ROLE {name} LOGIN", f"DROP ROLE {name}"):
        yield None


@sabotage("ROT-003")
def a_second_ca_stays_trusted(scene: Scene) -> Iterator[Design | None]:
    """The CA was changed a year ago, and the one before was never taken out."""
    path = scene.state / "tls" / "ca.crt"
    stranger, _ = Mint(now).ca()
    seen = path.stat()
    try:
        with scene.edited(path, lambda text: text + certificate_pem(stranger)):
            os.utime(path, (time.time() - YEAR, time.time() - YEAR))
            yield None
    finally:
        os.utime(path, (seen.st_atime, seen.st_mtime))


@sabotage("ROT-004")
def a_new_certificate_was_not_read(scene: Scene) -> Iterator[Design | None]:
    """The server's certificate was renewed, and nobody told the server."""
    wanted = scene.design.stead.find(Certificate, "server")
    assert wanted is not None
    scene.ports.certificates.issue(wanted)
    try:
        yield None
    finally:
        scene.reload()


SABOTAGES = (
    a_password_is_a_year_old,
    a_stand_in_was_left,
    a_second_ca_stays_trusted,
    a_new_certificate_was_not_read,
)
