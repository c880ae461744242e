"""Containers as values: what runs in each, what it may use, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HOME = "/var/lib/pgstead"  # the state directory, in every container that sees a part of it
STEAD = "/srv/stead"  # the manifest and what it names: migrations, models, services
BROUGHT = f"{HOME}/brought"  # files that the manifest names outside of itself
CLUSTER = "/var/lib/postgresql"  # where PostgreSQL's images declare their volume, since 18
MACHINE = "/etc/pgstead/machine.json"  # the machine that the design was reckoned for
PACKAGES = "/opt/pgstead"  # the interpreter's environment
TOOLCHAIN = "/opt/toolchain"
STORE = "store"  # a store of backups beside, and its profile
WATCHERS = ("collector", "monitoring", "grafana")  # profiles of who watches
UPGRADE = "upgrade"  # what runs a major upgrade, and its profile
PROFILES = (*WATCHERS, STORE, UPGRADE)
STORE_KEYS = ("store-access-key", "store-secret-key")  # of the secrets
HANDED = "handed"  # below HOME: what other containers see of it, a volume for each


class Until(StrEnum):
    """What one container waits for of another (Compose specification, `depends_on`)."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    DONE = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume, or a file beside compose.yml, and where a container sees it."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A port of a container that this machine's clients reach."""

    address: str
    port: int  # of this machine
    target: int  # of the container

    @property
    def where(self) -> str:
        """Address and port, as in a URL."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use."""

    memory: int  # bytes
    cpus: float
    processes: int
    shared: int = 0  # bytes of /dev/shm; 0: the engine's own default


@dataclass(frozen=True, slots=True)
class Health:
    """How the engine finds out whether a container does what it is for."""

    test: str  # a line for the container's shell; podman takes arguments apart at each space
    start_period: int = 60  # seconds in which a failure does not count


@dataclass(frozen=True, slots=True)
class Container:
    """One service of compose.yml."""

    name: str
    image: str  # one that is pulled; else the stage of our Dockerfile, with `built`
    command: tuple[str, ...]
    limits: Limits
    built: bool = True
    entrypoint: tuple[str, ...] = ()
    user: str = ""  # "999:999"; empty: the image's own, which is not root
    directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    passed: Mapping[str, str] = field(default_factory=dict[str, str])  # from the caller, else this
    mounts: tuple[Mount, ...] = ()
    temporary: tuple[str, ...] = ("/tmp",)  # noqa: S108 - each container's own
    published: tuple[Published, ...] = ()
    alias: str = ""  # the name that others reach it by
    address: str = ""  # its own on the internal network, whatever becomes of the container
    hosts: Mapping[str, str] = field(default_factory=dict[str, str])  # known without being asked
    outward: bool = False  # asks somebody outside of the containers
    waits: Mapping[str, Until] = field(default_factory=dict[str, Until])
    health: Health | None = None
    once: bool = False  # does its work and ends
    stop_signal: str = ""
    stop_seconds: int = 30
    profile: str = ""  # empty: always there


@dataclass(frozen=True, slots=True)
class Composition:
    """All containers of a stead, their volumes and networks."""

    project: str
    containers: tuple[Container, ...]
    internal: str  # CIDR; without a way out
    given: str  # CIDR within it; what the engine gives addresses from
    gateway: str  # address within it; the engine's own
    edge: str  # CIDR; the one that ports are published from
    profiles: tuple[str, ...] = ()  # those that are started

    def container(self, name: str) -> Container:
        """Return one of them. Raises KeyError."""
        found = next((c for c in self.containers if c.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    @property
    def started(self) -> tuple[Container, ...]:
        """Those that `up` starts: without a profile, or of one that is asked for."""
        return tuple(c for c in self.containers if not c.profile or c.profile in self.profiles)

    @property
    def volumes(self) -> tuple[str, ...]:
        """The named volumes; a source with a slash is a file."""
        used = (m.source for c in self.containers for m in c.mounts if "/" not in m.source)
        return tuple(dict.fromkeys(used))
