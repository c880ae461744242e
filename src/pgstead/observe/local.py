"""What can be seen without the server: cluster, secrets, certificates, files, processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from pgstead.model.address import Resource
from pgstead.model.design import Design
from pgstead.model.passfile import secret_text
from pgstead.model.resources import Certificate, ConfigFile, SecretFile, ServerProcess
from pgstead.observe import keys
from pgstead.ports import Ports


def resources(design: Design, ports: Ports) -> Iterator[Resource]:
    """Yield what was found on the disk and at the supervisor.

    Raises ForeignStateError for another stead's data directory, CertificateError for a
    certificate that cannot be parsed.
    """
    cluster = ports.cluster.inspect()
    if cluster is not None:
        yield cluster
    yield from _secrets(design, ports)
    yield from keys.resources(design, ports)
    for wanted in design.stead.all(Certificate):
        found = ports.certificates.inspect(wanted.name)
        if found is not None:
            yield found
    yield from _files(design, ports)
    yield from _processes(design, ports)


def _secrets(design: Design, ports: Ports) -> Iterator[SecretFile]:
    for wanted in design.stead.all(SecretFile):
        mode = (
            _derived_mode(design, ports, wanted)
            if "/" in wanted.name
            else ports.secrets.mode(wanted.name)
        )
        if mode is not None:
            yield replace(wanted, mode=mode)


def expected_text(design: Design, ports: Ports, name: str) -> str | None:
    """Return what a derived secret file must hold, or None where its secret is missing."""
    folder, _, file = name.partition("/")
    roles = design.auth_file_roles if folder == "pooler" else (file,)
    return secret_text(folder, roles, ports.secrets.value, ports.secrets.mode)


def _derived_mode(design: Design, ports: Ports, wanted: SecretFile) -> int | None:
    """Return the mode of a passfile or userlist; another content counts as absent."""
    found = ports.files.read(_path(design, wanted.name))
    if found is None or found.text != expected_text(design, ports, wanted.name):
        return None
    return found.mode


def _path(design: Design, name: str) -> PurePosixPath:
    return design.layout.state / name


def _files(design: Design, ports: Ports) -> Iterator[ConfigFile]:
    for wanted in design.stead.all(ConfigFile):
        found = ports.files.read(_path(design, wanted.name))
        if found is not None:
            yield replace(wanted, text=found.text, mode=found.mode)


def _processes(design: Design, ports: Ports) -> Iterator[ServerProcess]:
    wanted = {process.name: process for process in design.stead.all(ServerProcess)}
    for name, state in ports.supervisor.states().items():
        if name in wanted or state.running:
            yield ServerProcess(name, running=state.running, program=state.digest)
