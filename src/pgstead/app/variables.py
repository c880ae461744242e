"""The environment, seen through the prefix of a system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pgstead.errors import UsageError

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment, seen through a system's prefix. Messages never hold a value."""

    prefix: str
    environ: Mapping[str, str]

    def own(self, name: str) -> str | None:
        """Return a setting by its prefixed name alone; an empty one is none."""
        return self.environ.get(self.prefix + name) or None

    def text(self, name: str, alias: str) -> str | None:
        """Return a setting; the prefixed name and its alias may not say different things."""
        own = self.own(name)
        bare = self.environ.get(alias) or None
        if own is not None and bare is not None and own != bare:
            raise UsageError(
                f"{self.prefix}{name} and {alias} are both set, to different values",
                hint=f"unset one of them; {self.prefix}{name} is the one of this system",
            )
        return own if own is not None else bare

    def number(self, name: str, alias: str, kind: Callable[[str], Number]) -> Number | None:
        """Return a setting that is a number and not negative."""
        text = self.text(name, alias)
        if text is None:
            return None
        try:
            value = kind(text)
        except ValueError:
            value = kind("-1")
        if not value >= 0:
            raise UsageError(
                f"{self.prefix}{name} is {text!r}", hint="a number that is not negative"
            )
        return value

    def flag(self, name: str, alias: str) -> bool:
        """Return a setting that is yes or no."""
        text = (self.text(name, alias) or "no").lower()
        if text not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
            raise UsageError(f"{self.prefix}{name} is {text!r}", hint="yes or no")
        return text in ("1", "true", "yes", "on")
