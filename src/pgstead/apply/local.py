"""Effects on the disk and at the supervisor."""

from __future__ import annotations

from pathlib import Path

from pgstead.apply import restarting
from pgstead.errors import KeysLostError, SteadError
from pgstead.model.design import Design
from pgstead.model.keys import KeyRing
from pgstead.model.operation import Operation
from pgstead.model.passfile import secret_text
from pgstead.model.resources import (
    Certificate,
    Cluster,
    ConfigFile,
    PoolerFile,
    SecretFile,
    ServerProcess,
)
from pgstead.ports import Ports


def cluster(operation: Operation, design: Design, ports: Ports) -> None:
    """Run initdb. An existing data directory is never altered."""
    match operation.before, operation.after:
        case None, Cluster() as wanted:
            ports.cluster.initialize(wanted, design)
        case _:
            told = ", ".join(f"{n} is {old}, wanted {new}" for n, old, new in operation.changes())
            raise SteadError(
                f"the data directory cannot be altered in place: {told}",
                hint="bring the manifest back to it, or dump, `pgstead destroy` and load again",
            )


def secret(operation: Operation, design: Design, ports: Ports) -> None:
    """Make a password, or the file in which another program reads it."""
    wanted = operation.after
    if not isinstance(wanted, SecretFile):
        return  # a secret that is no longer wanted stays: it may be the only copy
    if "/" not in wanted.name:
        ports.secrets.ensure(wanted.name, mode=wanted.mode)
        return
    derived_secret(wanted, design, ports)


def derived_secret(wanted: SecretFile, design: Design, ports: Ports) -> None:
    """Write the file in which another program reads a password, as the secrets are now."""
    folder, _, file = wanted.name.partition("/")
    roles = design.auth_file_roles if folder == "pooler" else (file,)
    text = secret_text(folder, roles, ports.secrets.value, ports.secrets.mode)
    if text is None:
        raise SteadError(
            f"there is no secret for one of: {', '.join(roles)}",
            hint="`pgstead up` makes what is missing",
        )
    path = design.layout.state / wanted.name
    ports.files.write(path, text, mode=wanted.mode, owner=_owner(design, wanted.name))


def key_ring(operation: Operation, design: Design, ports: Ports) -> None:
    """Make the keys of a database's encrypted columns; those that there are never change here.

    Raises KeysLostError where stored values need others than a new ring would hold.
    """
    wanted = operation.after
    plan = design.database(operation.address.key)
    if not isinstance(wanted, KeyRing) or plan is None:
        return  # what is no longer wanted stays: it may be the only copy
    refuse_loss(operation, design)
    ports.keys.ensure(plan, mode=wanted.mode)


def refuse_loss(operation: Operation, design: Design) -> None:
    """Raise KeysLostError for an operation that would put new keys in the place of lost ones."""
    _refuse_new_cluster(operation, design)
    plan = design.database(operation.address.key)
    if plan is None or not isinstance(operation.before, KeyRing) or not operation.before.lost:
        return
    raise KeysLostError(
        f"the keys of {plan.name} are lost: it holds encrypted values, and"
        f" {design.layout.key_file(plan.name)} is gone",
        hint=f"put the copy of the file back, or name it in {plan.prefix}ENCRYPTION_KEYS_FILE; if "
        f"the values may be lost too, `pgstead keys new {plan.name}` begins anew",
    )


def _refuse_new_cluster(operation: Operation, design: Design) -> None:
    """Raise KeysLostError where an empty cluster would come after one that was backed up."""
    if operation.before is not None or not isinstance(operation.after, Cluster):
        return
    base = Path(design.backup.base) if design.backup is not None else None
    if base is None or not base.is_dir() or not any(base.iterdir()):
        return
    raise KeysLostError(
        f"the data directory {design.layout.data} is gone, and base backups of it are in {base}",
        hint="`pgstead restore --in-place --yes` brings it back to the last moment; to begin anew,"
        f" move {design.backup.repository if design.backup else base} away first",
    )


def _owner(design: Design, name: str) -> str | None:
    """Return who must be able to read a file: the servers, or whoever runs pgstead."""
    return design.host.server_user if name.startswith(("server/", "pooler/")) else None


def certificate(operation: Operation, ports: Ports) -> None:
    """Make or renew a certificate."""
    if isinstance(operation.after, Certificate):
        ports.certificates.issue(operation.after)


def file(operation: Operation, design: Design, ports: Ports) -> None:
    """Write a configuration file whole."""
    match operation.before, operation.after:
        case _, ConfigFile() as wanted:
            path = design.layout.state / wanted.name
            owner = _owner(design, wanted.name)
            ports.files.write(path, wanted.text, mode=wanted.mode, owner=owner)
        case ConfigFile() as found, None:
            ports.files.remove(design.layout.state / found.name)
        case _:
            return


def process(operation: Operation, ports: Ports) -> None:
    """Start, restart or stop a supervised program; `run` configured the supervisor before."""
    match operation.before, operation.after:
        case ServerProcess(running=True), ServerProcess(running=True, name="postgres"):
            restarting.restart(ports, anyway=True)
        case ServerProcess(running=True), ServerProcess(running=True) as wanted:
            ports.supervisor.restart(wanted.name)
        case _, ServerProcess(running=True) as wanted:
            ports.supervisor.start(wanted.name)
        case ServerProcess() as found, None:
            # configured anew, a supervisor has ended and forgotten what no design names
            if found.name in ports.supervisor.states():
                ports.supervisor.stop(found.name)
        case ServerProcess() as found, _:
            ports.supervisor.stop(found.name)
        case _:
            return


def touches_pooler(operation: Operation) -> bool:
    """Say whether a file change makes the pooler reload."""
    resource = operation.resource
    if isinstance(resource, SecretFile):
        return resource.name.startswith("pooler/")
    return isinstance(resource, PoolerFile) or (
        isinstance(resource, Certificate) and resource.name in ("ca", "pooler")
    )


def touches_server(operation: Operation) -> bool:
    """Say whether a file change makes the server reload."""
    resource = operation.resource
    if isinstance(resource, ConfigFile):
        return resource.name.startswith("server/")
    return isinstance(resource, Certificate) and resource.name in ("ca", "server")
