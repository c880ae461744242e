"""`pgstead demo load|remove DB`."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import click

from pgstead.cli.command import CommandGroup
from pgstead.cli.command import command as new_command
from pgstead.cli.connection import connection_to
from pgstead.cli.console import Console
from pgstead.cli.invocation import Invocation, invocation_of
from pgstead.errors import ManifestError, SteadError, UsageError


class SampleError(SteadError):
    """The sample data could not be loaded or removed."""

    code = "sample-failed"


@dataclass(frozen=True, slots=True)
class _Sample:
    """The sample data of a database: a module with `load(path)` and `remove(path)`."""

    name: str  # import path
    directory: Path  # that it is imported from
    connection: Path  # the connection file that it is handed

    def call(self, verb: str) -> object:
        """Call one of the two; a coroutine is run to its end."""
        function = _function(self._module(), verb, self.name)
        try:
            answer = function(self.connection)
            return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer
        except SteadError:
            raise
        except Exception as error:  # the application's own code
            raise SampleError(
                f"{self.name}.{verb} failed: {type(error).__name__}: {error}",
                hint="`pgstead status` shows whether the database runs and is migrated",
            ) from error

    def _module(self) -> ModuleType:
        sys.path.insert(0, str(self.directory))
        try:
            return importlib.import_module(self.name)
        except ImportError as error:
            raise ManifestError(
                f"databases.sample: {self.name} cannot be imported: {error}",
                hint=f"it is imported from {self.directory}",
                key="databases.sample",
            ) from error


async def _awaited(answer: Any) -> object:
    return await answer


def _function(module: ModuleType, verb: str, name: str) -> Callable[[Path], object]:
    function = getattr(module, verb, None)
    if not callable(function):
        raise ManifestError(
            f"databases.sample: {name} has no function {verb}(connection_file)",
            hint="`load(path)` and `remove(path)` take the path of the connection file",
            key="databases.sample",
        )
    return cast("Callable[[Path], object]", function)


def _sample(database: str, invocation: Invocation) -> _Sample:
    """Find the sample of a database. Raises UsageError in production and where there is none."""
    from pgstead.cli.wiring import read_manifest

    source = read_manifest(invocation.manifest)
    connection = connection_to(database, invocation.manifest)
    environments = {connection.environment, source.manifest.environment.value}
    if "production" in environments:
        raise UsageError(
            f"{database} is in production: sample data is refused there (SRV-13)",
            hint="use a stead of environment development, test or staging",
        )
    entry = next((d for d in source.manifest.databases if d.name == database), None)
    if entry is None or not entry.sample:
        raise UsageError(
            f"{database} has no sample data",
            hint='name a module with load(path) and remove(path): [[databases]] sample = "..."',
        )
    return _Sample(entry.sample, source.directory / entry.imported_from, connection.path)


def _run(database: str, verb: str, done: str) -> None:
    invocation = invocation_of()
    console = Console(invocation)
    answer = _sample(database, invocation).call(verb)
    counts: Mapping[str, object] = {}
    if isinstance(answer, Mapping):
        counts = cast("Mapping[str, object]", answer)
    if invocation.json:
        console.data({"database": database, "done": done, "rows": counts})
        return
    console.line(f"sample data of {database} {done}")
    console.table([(str(table), str(count)) for table, count in counts.items()], indent="  ")


@new_command("load", ("pgstead demo load shop", "and look: `pgstead psql shop`"))
@click.argument("database")
def _load(database: str) -> None:
    """Load the sample data of a database.

    Loading twice is no error. Refused in production.
    """
    _run(database, "load", "loaded")


@new_command("remove", ("pgstead demo remove shop", "remove what `demo load` loaded"))
@click.argument("database")
def _remove(database: str) -> None:
    """Remove the sample data of a database, and nothing else.

    Removing twice is no error. Refused in production.
    """
    _run(database, "remove", "removed")


command = CommandGroup(
    "demo",
    help="Load or remove the sample data of a database.\n\nThe manifest names a module: "
    "[[databases]] sample. It brings the functions load and remove; each is handed the path of "
    "the connection file. Refused in production.",
    examples=(
        ("pgstead demo load shop", "load it"),
        ("pgstead demo remove shop", "remove it again"),
    ),
)
command.add_command(_load)
command.add_command(_remove)
