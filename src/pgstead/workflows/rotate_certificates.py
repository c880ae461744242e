"""Renew certificates and change the CA while clients come and go.

A new certificate takes a reload of who shows it; sessions that are there go on. A CA is changed
in three steps, each with a window: it is trusted, it signs, the one before is trusted no more.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgstead.apply import server
from pgstead.apply.session import Session
from pgstead.errors import CertificateError, NotRunningError
from pgstead.model.design import Design
from pgstead.model.resources import Certificate
from pgstead.model.rotation import Authority, CaStage
from pgstead.ports import Ports

SETTLE = 2.0  # seconds in which who has read the CA before has connected
_DOORS = {"direct": "server", "pooler": "pooler"}
_PATIENCE = 10.0  # seconds until a door shows what it was told to


@dataclass(frozen=True, slots=True)
class Renewed:
    """The certificates that were made anew."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaStep:
    """Where a rotation of the CA stands now."""

    authority: Authority
    done: tuple[str, ...]  # what this run did: "announced", "signing", "settled"
    next_at: datetime | None  # when the next step may be taken; None: it is at its end


def renew(design: Design, ports: Ports, names: Collection[str] = ()) -> Renewed:
    """Make certificates anew, whatever their age, and let the doors show them.

    Raises CertificateError where one was brought by the user, or a door does not show its own.
    """
    made = _ours(design, names)
    for certificate in made:
        ports.progress.step(f"renewing the certificate {certificate.name}")
        ports.journal.record("rotating", certificate=certificate.name)
        ports.certificates.issue(certificate)
    _reload(design, ports)
    _must_be_shown(design, ports)
    return Renewed(tuple(c.name for c in made))


def coming(design: Design, names: Collection[str] = ()) -> Renewed:
    """Return what `renew` would make anew. Raises CertificateError as it does."""
    return Renewed(tuple(c.name for c in _ours(design, names)))


def _ours(design: Design, names: Collection[str]) -> list[Certificate]:
    """Return the certificates that are made here, of those that were named or of all."""
    wanted = [c for c in design.stead.all(Certificate) if c.name != "ca"]
    chosen = [c for c in wanted if not names or c.name in names]
    brought = [c.name for c in chosen if c.provided]
    if brought and (names or len(brought) == len(chosen)):
        raise CertificateError(
            f"the certificate {brought[0]!r} was brought by you, and is renewed by you",
            hint="put the renewed one where [tls] points, then `pgstead up`: no restart",
        )
    return [c for c in chosen if not c.provided]


def due(design: Design, ports: Ports) -> tuple[str, ...]:
    """Return our own certificates that end soon, or that were left half renewed."""
    found: list[str] = []
    for wanted in design.stead.all(Certificate):
        if wanted.name == "ca" or wanted.provided:
            continue
        there = ports.certificates.inspect(wanted.name)
        whole = there is not None and there.key_matches and there.issued_by_ca and there.in_date
        found += [] if whole else [wanted.name]
    return tuple(found)


def rotate_ca(design: Design, ports: Ports, window: float) -> CaStep:
    """Take the steps of a rotation of the CA whose time has come; `window` seconds between two.

    With a window of 0 it goes through at once. Raises CertificateError where the CA is the user's.
    """
    _must_be_ours(ports.certificates.authority())
    done: list[str] = []
    if ports.certificates.authority().stage is CaStage.SETTLED:
        _announce(design, ports)
        done.append(CaStage.ANNOUNCED.value)
    return _onwards(design, ports, window, done)


def coming_ca(ports: Ports, window: float) -> tuple[str, ...]:
    """Return the steps that `rotate_ca` would take now. Nothing is changed."""
    found = ports.certificates.authority()
    _must_be_ours(found)
    after = {
        CaStage.SETTLED: (CaStage.ANNOUNCED, CaStage.SIGNING, CaStage.SETTLED),
        CaStage.ANNOUNCED: (CaStage.SIGNING, CaStage.SETTLED),
        CaStage.SIGNING: (CaStage.SETTLED,),
    }
    waits = found.stage is not CaStage.SETTLED
    if waits and datetime.now(UTC) < found.since + timedelta(seconds=window):
        return ()
    steps = after[found.stage] if window == 0 else after[found.stage][:1]
    return tuple(step.value for step in steps)


def _must_be_ours(authority: Authority) -> None:
    if authority.provided:
        raise CertificateError(
            "the CA was brought by you, and is rotated by you",
            hint="put both into the file that tls.ca names, `pgstead up`; later take the old out",
        )


def continue_ca(design: Design, ports: Ports, window: float) -> CaStep:
    """Take the steps whose time has come of a rotation that was begun; begin none."""
    return _onwards(design, ports, window, [])


def _onwards(design: Design, ports: Ports, window: float, done: list[str]) -> CaStep:
    steps = {CaStage.ANNOUNCED: _switch, CaStage.SIGNING: _retire}
    after = {CaStage.ANNOUNCED: CaStage.SIGNING, CaStage.SIGNING: CaStage.SETTLED}
    while True:
        now = ports.certificates.authority()
        if now.stage is CaStage.SETTLED:
            return CaStep(now, tuple(done), None)
        due_at = now.since + timedelta(seconds=window)
        if datetime.now(UTC) < due_at:
            return CaStep(now, tuple(done), due_at)
        _reload(design, ports)  # the run that took the step before may have been killed first
        time.sleep(SETTLE)
        steps[now.stage](design, ports)
        done.append(after[now.stage].value)


def _announce(design: Design, ports: Ports) -> None:
    ports.progress.step("having the coming CA trusted beside the one that signs")
    ports.journal.record("rotating", certificate="ca", step="announce")
    ports.certificates.announce_ca()
    _reload(design, ports)


def _switch(design: Design, ports: Ports) -> None:
    ports.progress.step("signing with the new CA")
    ports.journal.record("rotating", certificate="ca", step="switch")
    ports.certificates.switch_ca()
    renew(design, ports)


def _retire(design: Design, ports: Ports) -> None:
    ports.progress.step("trusting the new CA alone")
    ports.journal.record("rotating", certificate="ca", step="retire")
    if late := due(design, ports):  # a run was killed while it signed
        renew(design, ports, late)
    ports.certificates.retire_ca()
    _reload(design, ports)
    _must_be_shown(design, ports)


def _reload(design: Design, ports: Ports) -> None:
    """Let server and pooler read their certificates; one that is down reads them at its start."""
    if ports.sql.answers():
        with Session(ports.sql) as session:
            server.reload(session)
    if design.pooler is not None:
        with suppress(NotRunningError):
            ports.console.at_rest("RELOAD")


def _must_be_shown(design: Design, ports: Ports) -> None:
    """Wait until the doors show the certificates of the store."""
    for door, name in _DOORS.items():
        found = design.door(door)
        if found is None or not found.tls:
            continue
        wanted, end = ports.certificates.fingerprint(name), time.monotonic() + _PATIENCE
        while (shown := ports.visitor.certificate(door)) != wanted:
            if time.monotonic() > end:
                raise CertificateError(
                    f"the {door} door still shows another certificate: {shown[:16]}",
                    hint="`pgstead logs` shows why it was not read; `pgstead rotate certificates`"
                    " tries again",
                )
            time.sleep(0.1)
