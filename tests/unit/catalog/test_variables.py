"""The list of variables is the one that the code reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgstead.catalog.variables import VARIABLES
from tests.fix_stead import CHECKOUT

READ = (
    re.compile(r"\.(?:text|number|flag)\(\s*\"([A-Z_]+)\", \"([A-Z_]+)\""),
    re.compile(r"environ(?:\.get)?[\[(]f?\"(?:\{(?:self\.)?prefix\})?([A-Z_]+)\""),
    re.compile(r"for name in \(\"([A-Z_]+)\", \"([A-Z_]+)\"\)"),
    re.compile(r"\"((?:POSTGRES|PGBOUNCER)_[A-Z_]+)\""),
    re.compile(r"^VARIABLE = \"([A-Z_]+)\"$", re.MULTILINE),
    re.compile(r"= f\"\{PREFIX\}([A-Z0-9_]+)\"$", re.MULTILINE),
)
# Python's and Docker's own, what the prover tells what it starts, and compose.yml its containers.
NOT_OURS = {"PYTHONPATH", "PATH", "DOCKER_HOST", "PGSTEAD_TRIAL", "PGSTEAD_ALLOW"}


def read() -> Iterator[str]:
    """Yield each name that the code of the command, the library or a system reads."""
    for tree in ("src", "systems"):
        for path in sorted((CHECKOUT / tree).rglob("*.py")):
            said = path.read_text()
            for form in READ:
                for found in form.findall(said):
                    yield from [found] if isinstance(found, str) else found


def test_every_variable_that_is_read_is_listed() -> None:
    listed = {v.name for v in VARIABLES} | {v.alias for v in VARIABLES}
    assert sorted(set(read()) - listed - NOT_OURS) == []


def test_every_variable_that_is_listed_is_read() -> None:
    found = set(read())
    assert sorted(v.name for v in VARIABLES if v.name not in found) == []
