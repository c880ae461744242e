"""Key files of encrypted columns: made once, mode 0600, readable by whom the passfiles are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pgstead.model.design import DatabasePlan
from pgstead.model.layout import Layout
from pgstead.ports import Files

_MODE = 0o600


class KeyFiles:
    """`ports.KeyRings` as files of the state. What a key document is, `new` knows."""

    def __init__(
        self, layout: Layout, files: Files, new: Callable[[str], str], environ: Mapping[str, str]
    ) -> None:
        """Keep `new`, which makes the document with a database's first keys, given its prefix."""
        self._layout = layout
        self._files = files
        self._new = new
        self._environ = environ

    def _elsewhere(self, plan: DatabasePlan) -> bool:
        """Say whether the application is told of keys that are not ours to keep."""
        names = (f"{plan.prefix}ENCRYPTION_KEYS", f"{plan.prefix}ENCRYPTION_KEYS_FILE")
        return any(self._environ.get(name) for name in names)

    def mode(self, plan: DatabasePlan) -> int | None:
        """Return the permission bits of a database's key file, None where there is none."""
        if self._elsewhere(plan):
            return _MODE
        return self._files.mode(self._layout.key_file(plan.name))

    def ensure(self, plan: DatabasePlan, *, mode: int = _MODE) -> None:
        """Make a first ring where there is none, and mend the mode."""
        path = self._layout.key_file(plan.name)
        found = self._files.read(path)
        text = self._new(plan.prefix) if found is None else found.text
        self._files.write(path, text, mode=mode)
