"""What a load asks for: the services' requests, rows of the tables, a user's own statements."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psycopg

import pgstead
from pgstead.app.load import LoadError
from pgstead.cli.address import Address
from pgstead.cli.connection import RoleName, address, connection_to
from pgstead.cli.rehearsal_traffic import of_file, of_tables
from pgstead.errors import ManifestError, NotRunningError, SteadError
from pgstead.host import clock
from pgstead.host.callers import Browser, Login, Newcomer, Speaker, connected
from pgstead.host.interrupts import put_off
from pgstead.host.load import Crowd, Target
from pgstead.host.traffic import Saying
from pgstead.model.bench import Bench, Kind, Load, Request
from pgstead.model.design import Service
from pgstead.observe.contents import shapes
from pgstead.plan.regressions import FLOOR

if TYPE_CHECKING:
    from pgstead.cli.wiring import Wired
    from pgstead.ports import Progress

_WARM = 1.0  # seconds: connections are made, caches filled
_PREPARED = Callable[[str, Path], AbstractContextManager[Sequence[Request]]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    load: Load
    kinds: frozenset[Kind]
    database: str | None = None  # None: all
    statements: Path | None = None


def measure(asked: Asked, wired: Wired, progress: Progress) -> Bench:
    """Put the load on the running stead; nothing of it is left. Raises SteadError."""
    with ExitStack() as stack:
        progress.step("looking for what to ask")
        targets = [*_targets(asked, wired, stack)]
        if not targets:
            raise NotRunningError(
                "there is nothing to ask for: no service, and no database that answers",
                hint="`pgstead status` shows what runs",
            )
        generator = Crowd(targets, asked.load)
        stack.callback(generator.close)
        progress.step(f"warming up: {len(targets)} targets")
        generator.round(_WARM, kept=False)
        for number in range(1, asked.load.rounds + 1):
            progress.step(f"round {number} of {asked.load.rounds}: {asked.load.seconds:g} s")
            generator.round(asked.load.seconds)
        return Bench(
            at=clock.stamp(),
            version=pgstead.__version__,
            machine=_machine(wired),
            settings=dict(wired.design.settings),
            load=asked.load,
            measured=generator.measured(FLOOR),
            late=generator.late,
        )


def _machine(wired: Wired) -> Mapping[str, str]:
    host, build = wired.design.host, wired.design.build
    return {
        "cpus": f"{host.cpus:g}",
        "memory": str(host.memory),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "postgresql": build.version,
    }


def _targets(asked: Asked, wired: Wired, stack: ExitStack) -> Iterator[Target]:
    production = wired.design.environment.value == "production"
    if Kind.API in asked.kinds:
        for service in wired.design.services:
            if asked.database in (None, service.database):
                yield from _of_service(wired, service, stack, prepared=not production)
    if Kind.DATABASE in asked.kinds:
        for plan in wired.design.databases:
            if asked.database in (None, plan.name):
                yield from _of_database(asked, wired, plan.name)


# -- services -------------------------------------------------------------------------------------


def _of_service(
    wired: Wired, service: Service, stack: ExitStack, *, prepared: bool
) -> Iterator[Target]:
    host = service.here
    own = [Request("GET /health/ready", "GET", "/health/ready")]
    if problem := Browser(host, service.port).say(own[0]):
        raise NotRunningError(
            f"the service of {service.database} does not answer: {problem}",
            hint="`pgstead status` shows what runs; --only database leaves services out",
        )
    source = wired.survey.source
    entry = next(d for d in source.manifest.databases if d.name == service.database)
    if entry.load and prepared:
        function = _function(entry.load, source.directory / entry.imported_from)
        place = f"[{host}]" if ":" in host else host
        path = Path(wired.design.layout.connection(service.database))
        own += stack.enter_context(_prepared(function, f"http://{place}:{service.port}", path))
    for request in own:
        yield Target(
            f"{service.database}: {request.what}",
            Kind.API,
            f"service {service.name}",
            partial(Browser, host, service.port),
            request,
        )


@contextmanager
def _prepared(function: _PREPARED, url: str, path: Path) -> Generator[Sequence[Request]]:
    """Have the application make what its requests need; whatever it raises is told as its own."""
    load = function(url, path)
    try:
        found = load.__enter__()
    except SteadError:
        raise
    except Exception as error:  # the application's own code
        raise _failed(function, "prepared", error) from error
    try:
        yield found
    finally:
        _take_back(load, function)


def _take_back(load: AbstractContextManager[object], function: _PREPARED) -> None:
    try:
        with put_off():  # what was made is removed, also after Ctrl-C
            load.__exit__(None, None, None)
    except SteadError:
        raise
    except Exception as error:  # the application's own code
        raise _failed(function, "taken back", error) from error


def _failed(function: _PREPARED, what: str, error: Exception) -> LoadError:
    return LoadError(
        f"the load of {function.__module__} could not be {what}: {type(error).__name__}: {error}",
        hint="`pgstead status` shows whether the database runs and is migrated",
    )


def _function(name: str, directory: Path) -> _PREPARED:
    module_name, _, function_name = name.partition(":")
    sys.path.insert(0, str(directory))
    try:
        module = importlib.import_module(module_name)
        function: object = getattr(module, function_name or "requests")
    except (ImportError, AttributeError) as error:
        raise ManifestError(
            f"databases.load: {name} cannot be imported: {error}",
            hint=f"a module with requests(url, connection); it is imported from {directory}",
            key="databases.load",
        ) from error
    return cast("_PREPARED", function)


# -- databases ------------------------------------------------------------------------------------


def _of_database(asked: Asked, wired: Wired, name: str) -> Iterator[Target]:
    connection = connection_to(name, str(wired.survey.source.path))
    app = login(address(connection, RoleName.APP, direct=False))
    admin = _superuser(wired, name)
    yield Target(
        f"{name}: a new connection", Kind.CONNECT, f"new {name}", partial(Newcomer, app), 0
    )
    ping = Saying("SELECT 1", b"SELECT 1", changes=False)
    yield Target(f"{name}: SELECT 1", Kind.DATABASE, f"app {name}", partial(Speaker, app), ping)
    for saying, plan in _sayings(asked, wired, name, admin):
        yield Target(
            f"{name}: {saying.what}",
            Kind.DATABASE,
            f"socket {name}",
            partial(Speaker, admin),
            saying,
            plan,
        )


def _sayings(asked: Asked, wired: Wired, name: str, admin: Login) -> Iterator[tuple[Saying, str]]:
    """Yield reads of each table, and a file's statements.

    As the superuser, who sees all rows and takes no place from the roles that have few. Nothing of
    pgstead's own is written: an update would fire the application's triggers.
    """
    given = of_file(asked.statements)[1] if asked.statements is not None else []
    try:
        with connected(admin) as connection:
            tables = shapes(connection, wired.design.build.major)
            reads = [s for s in of_tables(connection, tables) if not s.changes]
            for saying in (*reads, *given):
                yield saying, _plan(connection, saying)
    except psycopg.Error as error:
        raise NotRunningError(
            f"looking at the tables of {name} failed: {' '.join(str(error).split())}",
            hint="`pgstead status` shows what runs; --only api leaves databases out",
        ) from error


def _plan(connection: psycopg.Connection[object], saying: Saying) -> str:
    """Return how the planner does it now, without figures; nothing for what has no plan."""
    said = saying.statement
    text = said if isinstance(said, bytes) else said.as_bytes(connection)
    try:
        with connection.transaction(force_rollback=True):
            rows = connection.execute(
                b"EXPLAIN (COSTS OFF) " + text, saying.values[0] if saying.values else None
            ).fetchall()
    except psycopg.Error:
        return ""
    return "\n".join(str(next(iter(cast("Mapping[str, object]", r).values()))) for r in rows)


def _superuser(wired: Wired, name: str) -> Login:
    design = wired.design
    return {
        "host": str(design.layout.socket),
        "port": int(design.settings["port"]),
        "dbname": name,
        "user": design.superuser,
        "passfile": str(design.layout.socket / "none"),  # never the user's
        "sslmode": "disable",
    }


def login(place: Address) -> Login:
    """Return an address as libpq's parameters."""
    return {
        "host": place.host,
        "port": place.port,
        "dbname": place.database,
        "user": place.user,
        "passfile": place.passfile,
        "sslmode": place.sslmode,
        "sslrootcert": place.ca,
    }
