"""What is due of passwords, certificates and the CA; and doing it, as the agent does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pgstead.errors import SteadError
from pgstead.model.design import Design
from pgstead.model.resources import Certificate
from pgstead.model.rotation import CaStage
from pgstead.model.standin import standin_of
from pgstead.ports import Ports
from pgstead.workflows import rotate_certificates, rotate_passwords

# Before its certificates are due (host.certificates.RENEWAL), so that none is made to end with it.
_CA_BEFORE = timedelta(days=120)


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential, how old it is, and what is to be done about it."""

    kind: str  # "password", "certificate", "ca"
    name: str
    age: float | None  # seconds; None: not known, or its end counts
    ends: str  # ISO 8601: when it is refused; of a password, when it is due to be changed
    state: str  # "in order", "due", "half rotated", or the stage of the CA

    @property
    def due(self) -> bool:
        """Say whether something is to be done."""
        return self.state != "in order"


def look(design: Design, ports: Ports) -> tuple[Credential, ...]:
    """Return every credential as its files tell. Nothing is changed, the server is not asked."""
    return (*_passwords(design, ports), *_certificates(design, ports))


def _passwords(design: Design, ports: Ports) -> Iterator[Credential]:
    now = datetime.now(UTC).timestamp()
    for role in (*rotate_passwords.lent(design), *rotate_passwords.own(design)):
        path = Path(design.layout.secret(role))
        try:
            made = path.stat().st_mtime
        except OSError:
            continue
        age = max(0.0, now - made)
        state = "due" if age >= design.rotation.password_age else "in order"
        if ports.secrets.mode(standin_of(role)) is not None:
            state = "half rotated"
        end = datetime.fromtimestamp(made + design.rotation.password_age, UTC)
        yield Credential("password", role, age, end.isoformat(timespec="seconds"), state)


def _certificates(design: Design, ports: Ports) -> Iterator[Credential]:
    due = rotate_certificates.due(design, ports)
    for wanted in design.stead.all(Certificate):
        found = ports.certificates.inspect(wanted.name)
        if found is None or wanted.name == "ca":
            continue
        state = "due" if wanted.name in due else "in order"
        yield Credential("certificate", wanted.name, None, found.not_after, state)
    try:
        ca = ports.certificates.authority()
    except SteadError:
        return
    state = ca.stage.value
    if ca.stage is CaStage.SETTLED:
        late = ca.ends - datetime.now(UTC) < _CA_BEFORE and not ca.provided
        state = "due" if late else "in order"
    yield Credential("ca", "ca", None, ca.ends.isoformat(timespec="seconds"), state)


def pending(design: Design, ports: Ports) -> tuple[str, ...]:
    """Return what `mend` would do something about. Nothing is changed."""
    found = [f"{c.kind} {c.name}" for c in _certificates(design, ports) if _now(c, design, ports)]
    if ports.sql.answers():
        found += [f"password {role}" for role in rotate_passwords.unfinished(design, ports)]
    return tuple(found)


def _now(credential: Credential, design: Design, ports: Ports) -> bool:
    """Say whether something is to be done now: a CA whose window lasts has time."""
    if credential.kind != "ca" or credential.state in ("in order", "due"):
        return credential.due
    since = ports.certificates.authority().since
    return datetime.now(UTC) >= since + timedelta(seconds=design.rotation.ca_window)


def mend(design: Design, ports: Ports) -> tuple[str, ...]:
    """Finish what was left, renew certificates that end soon, and go on with the CA.

    Passwords that are only old wait for their hour. Return what was done.
    """
    done: list[str] = []
    if ports.sql.answers():
        done += [f"password {role}" for role in rotate_passwords.settle(design, ports)]
    states = [c.state for c in _certificates(design, ports) if c.kind == "ca"]
    if states and states[0] != "in order":
        begin = rotate_certificates.rotate_ca
        step = begin if states[0] == "due" else rotate_certificates.continue_ca
        taken = step(design, ports, design.rotation.ca_window).done
        done += [f"ca {stage}" for stage in taken]
    if late := rotate_certificates.due(design, ports):
        done += [f"certificate {n}" for n in rotate_certificates.renew(design, ports, late).names]
    return tuple(done)


def passwords_due(design: Design, ports: Ports) -> tuple[str, ...]:
    """Change the passwords that are too old; return whose. Raises StillInUseError."""
    old = [c.name for c in _passwords(design, ports) if c.due]
    if not old:
        return ()
    return rotate_passwords.rotate(design, ports, old, watch=design.rotation.watch).roles
