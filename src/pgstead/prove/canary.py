"""The values of all secrets, to be looked for where none may be. Never printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pgstead.errors import SteadError
from pgstead.ports import Secrets

HIDDEN = "[secret]"
_SHORT = 8  # a password this short would be found in any text


@dataclass(frozen=True)
class Canary:
    """Names of secrets with their values."""

    values: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def of(cls, secrets: Secrets) -> Canary:
        """Read all secrets; one that cannot be read cannot leak through us either."""
        return cls(tuple(_readable(secrets)))

    def hide(self, text: str) -> str:
        """Return the text without any secret."""
        for _name, value in self.values:
            text = text.replace(value, HIDDEN)
        return text

    def found_in(self, data: bytes) -> tuple[str, ...]:
        """Return the names of the secrets whose value is in the data."""
        return tuple(name for name, value in self.values if value.encode() in data)

    def found_in_file(self, path: Path) -> tuple[str, ...]:
        """Return the names of the secrets that a file holds; big files are read in parts."""
        longest = max((len(value.encode()) for _name, value in self.values), default=0)
        found: dict[str, None] = {}
        tail = b""
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                found.update(dict.fromkeys(self.found_in(tail + part)))
                tail = part[-longest:] if longest else b""
        return tuple(found)


def _readable(secrets: Secrets) -> Iterator[tuple[str, str]]:
    for name in secrets.names():
        try:
            value = secrets.value(name)
        except SteadError:
            continue
        if len(value) >= _SHORT:
            yield name, value
