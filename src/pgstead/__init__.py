"""One manifest becomes a production-shaped PostgreSQL foundation, and proves it.

The Python API is the four steps of the pipeline:

    from pgstead import design, load, plan, prove

    manifest = load("pgstead.toml")  # what the user writes
    wanted = design(manifest)        # what it means on this machine, each value with its reason
    changes = plan(wanted)           # what `pgstead up` would do; changes nothing
    report = prove(wanted)           # whether the running system keeps its promises

Importing pgstead imports none of the stages; each function imports its own.
"""

from __future__ import annotations

import sys
from types import ModuleType

__version__: str  # by __getattr__, from the installed package
TYPE_CHECKING = False  # type checkers know the name; `typing` is not needed to import pgstead
if TYPE_CHECKING:
    from os import PathLike

    from pgstead.manifest.document import Manifest
    from pgstead.model.design import Design
    from pgstead.model.operation import Plan
    from pgstead.prove.report import Report

__all__ = ["__version__", "design", "load", "plan", "prove"]


def load(path: str | PathLike[str] | None = None) -> Manifest:
    """Read a manifest (by default the nearest pgstead.toml upwards). Raises ManifestError."""
    from pgstead.cli.wiring import read_manifest

    return read_manifest(path).manifest


def design(
    manifest: Manifest | str | PathLike[str] | None = None,
    *,
    directory: str | PathLike[str] | None = None,
) -> Design:
    """Return what a manifest means on this machine. Looks at the machine, changes nothing.

    `directory` is where relative paths of a Manifest start: by default the working directory.
    """
    from pgstead.cli.wiring import compose

    return compose(manifest, directory=directory)


def plan(wanted: Design) -> Plan:
    """Return what `pgstead up` would change, each operation with its impact."""
    from pgstead.cli.wiring import ports_for
    from pgstead.workflows import planning

    return planning.plan(wanted, ports_for(wanted))


def prove(wanted: Design, *select: str, disruptive: bool = False) -> Report:
    """Try the promises on the running system: all, or those of capabilities and codes."""
    from pgstead.cli.wiring import access_to
    from pgstead.prove.run import run

    return run(wanted, access_to(wanted), select, disruptive=disruptive)


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("pgstead")
    raise AttributeError(f"module 'pgstead' has no attribute {name!r}")


class _Package(ModuleType):
    """Keeps `pgstead.design`, `plan` and `prove` the functions.

    Packages of the same names exist, and importing one would bind it over the function. They
    are reached by `from pgstead.design import compose`.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
