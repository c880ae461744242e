"""Options, marks and fixtures. Nothing is imported or started before a fixture is asked for.

| fixture             | scope    | what                                                            |
|---------------------|----------|-----------------------------------------------------------------|
| `pgstead_stead`     | session  | a stead like the manifest's, on ports of its own                |
| `pgstead_database`  | function | a migrated database of this test alone: URLs and connections    |
| `pgstead_db`        | function | `Database` on it: the application's role, through the pooler    |
| `pgstead_sync_db`   | function | `SyncDatabase` on it                                            |
| `pgstead_environ`   | function | the environment leads the application under test to it          |
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pgstead.app.engine import Database
    from pgstead.app.sync import SyncDatabase
    from pgstead.testing.fresh import FreshDatabase, TestStead
    from pgstead.testing.lease import Worker

_MARK = "pgstead_privileged"
_MANIFEST, _DATABASE = "pgstead_manifest", "pgstead_database"
_STEAD: pytest.StashKey[TestStead] = pytest.StashKey()
_RUN: pytest.StashKey[str] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `pgstead_manifest` and `pgstead_database`, as options and in the configuration."""
    group = parser.getgroup("pgstead", "a production-shaped database per test")
    manifest = "the manifest whose stead tests are given a likeness of; else the nearest one"
    database = "the database of the manifest that tests work on; its only one needs no name"
    group.addoption("--pgstead-manifest", metavar="PATH", help=manifest)
    group.addoption("--pgstead-database", metavar="NAME", help=database)
    parser.addini(_MANIFEST, manifest, default="")
    parser.addini(_DATABASE, database, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the mark."""
    config.addinivalue_line(
        "markers",
        f"{_MARK}(reason): this test may connect as migrator, owner or superuser, and says why",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Remember what the workers of pytest-xdist call their run."""
    node.config.stash[_RUN] = str(node.workerinput["testrunuid"])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind: wait until the last worker's stead is gone."""
    if run := config.stash.get(_RUN, ""):
        from pgstead.testing.lease import wait_until_removed

        wait_until_removed(run)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a mark that does not say why."""
    mark = item.get_closest_marker(_MARK)
    if mark is not None and not (mark.args and str(mark.args[0]).strip()):
        pytest.fail(f'say why: @pytest.mark.{_MARK}("it tests a migration")', pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that connected as a role which policies do not bind."""
    try:
        result = yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException:  # pytest's own outcomes are no Exception
        if said := _objection(item):
            item.add_report_section("call", "pgstead", said)
        raise
    if said := _objection(item):
        pytest.fail(said, pytrace=False)
    return result


def _objection(item: pytest.Item) -> str:
    """Return what is wrong with how a test connected; empty where it may."""
    stead = item.config.stash.get(_STEAD, None)
    said = stead.objection() if stead is not None else ""
    return "" if _may(item) else said


def _may(item: pytest.Item) -> bool:
    return item.get_closest_marker(_MARK) is not None


@pytest.fixture(scope="session")
def pgstead_stead(request: pytest.FixtureRequest) -> Iterator[TestStead]:
    """Bring up a stead like the manifest's for this run: ports, data and passwords of its own."""
    from pgstead.errors import SteadError
    from pgstead.testing.fresh import held
    from pgstead.testing.place import Request

    config = request.config
    worker = _worker(config)
    wanted = Request(
        manifest=_manifest(config),
        directory=str(config.rootpath),
        database=str(config.getoption(_DATABASE) or config.getini(_DATABASE)),
        workers=worker.count,
    )
    with ExitStack() as open_:
        try:
            stead = open_.enter_context(held(wanted, worker))
        except SteadError as error:
            refused = f"{error.message}\nhint: {error.hint}" if error.hint else error.message
        else:
            config.stash[_STEAD] = stead
            yield stead
            del config.stash[_STEAD]
            return
    pytest.fail(refused, pytrace=False)


def _manifest(config: pytest.Config) -> str | None:
    """Return the manifest's path: as typed where pytest was called, or as in its configuration."""
    if typed := config.getoption(_MANIFEST):
        return str(config.invocation_params.dir / typed)
    if written := config.getini(_MANIFEST):
        return str((config.inipath.parent if config.inipath else config.rootpath) / written)
    return None


def _worker(config: pytest.Config) -> Worker:
    from pgstead.testing.lease import Worker

    told: Mapping[str, Any] | None = getattr(config, "workerinput", None)
    if told is None:
        return Worker()
    return Worker(str(told["workerid"]), str(told["testrunuid"]), int(told["workercount"]))


@pytest.fixture
def pgstead_database(
    pgstead_stead: TestStead, request: pytest.FixtureRequest
) -> Iterator[FreshDatabase]:
    """Give a migrated database that only this test knows."""
    with pgstead_stead.fresh() as database:
        yield database
        said = _objection(request.node)  # fixtures have an end too
    if said:
        pytest.fail(said, pytrace=False)


@pytest.fixture
def pgstead_db(pgstead_database: FreshDatabase) -> Database:
    """Give the application's engine on the test's database: its role, through the pooler.

    Works in any event loop, and closes its connections when that loop ends.
    """
    return pgstead_database.database()


@pytest.fixture
def pgstead_sync_db(pgstead_database: FreshDatabase) -> SyncDatabase:
    """Give the application's synchronous engine on the test's database."""
    return pgstead_database.sync_database()


@pytest.fixture
def pgstead_environ(
    pgstead_database: FreshDatabase, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, str]:
    """Let the environment lead to the test's database, and to no other one."""
    for prefix in (pgstead_database.prefix, ""):
        for name in ("DATABASE_URL", "DATABASE_URL_SYNC", "POSTGRES_HOST", "PGBOUNCER_HOST"):
            monkeypatch.delenv(prefix + name, raising=False)
    for name, value in pgstead_database.environ.items():
        monkeypatch.setenv(name, value)
    return pgstead_database.environ
