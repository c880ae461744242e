"""Values that carry their reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgstead.manifest.document import Chosen
from pgstead.model.design import Reason


@dataclass(frozen=True, slots=True)
class Value:
    """A derived value: as written in the file, with formula, inputs and source."""

    name: str  # "work_mem"
    text: str  # "16MB"
    formula: str
    source: str
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])

    def reason(self, group: str) -> Reason:
        """Return what `pgstead explain group.name` prints."""
        return Reason(f"{group}.{self.name}", self.text, self.formula, self.inputs, self.source)


def chosen(value: Value | None, name: str, choice: Chosen, key: str) -> Value:
    """Return the user's value over the derived one, which stays visible among the inputs."""
    inputs = {"reason": choice.reason or "none given"}
    if value is not None:
        inputs |= {"derived value": value.text, "its formula": value.formula}
    return Value(name, choice.value, "set in the manifest", f"{key}.{name}", inputs)


def settled(
    derived: Mapping[str, Value], choices: Mapping[str, Chosen], key: str
) -> dict[str, Value]:
    """Return derived values with the user's choices over them."""
    named = {name.lower(): name for name in derived}
    settled = dict(derived)
    for given, choice in choices.items():
        name = named.get(given.lower(), given)
        settled[name] = chosen(derived.get(name), name, choice, key)
    return settled
