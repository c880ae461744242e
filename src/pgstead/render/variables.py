"""The page of the variables that programs read, for docs/reference."""

from __future__ import annotations

from pgstead.catalog.variables import VARIABLES, Variable

_HEAD = """
# Variables of the environment

None has to be set where the connection file of `pgstead up` is found. `PREFIX_` is that of the \
database (`prefix` in the manifest): `JEEX_DATABASE_URL`.
The prefixed name wins; both set to different values is an error. `pgstead render files` writes an \
`.env.example` with all of them.

| variable | also read as | secret | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(map(_row, VARIABLES))


def _row(variable: Variable) -> str:
    prefix = variable.only or ("PREFIX_" if variable.prefixed else "")
    alias = f"`{variable.alias}`" if variable.alias else ""
    secret = "yes" if variable.secret else ""
    return f"| `{prefix}{variable.name}` | {alias} | {secret} | {variable.meaning} |\n"
