"""pip as a program: binary packages alone, and what they depend on is named already.

The user's environment configures it: proxies, mirrors, certificates.
"""

from __future__ import annotations

import os
import sys
from typing import Literal

from pgstead.errors import HostError
from pgstead.host import programs

_ALWAYS = ("--quiet", "--no-input", "--no-deps", "--disable-pip-version-check",
           "--only-binary=:all:")  # fmt: skip


def run(command: Literal["download", "install"], *words: str, timeout: float) -> programs.Outcome:
    """Run it. Raises HostError where this interpreter has none."""
    outcome = programs.run(
        [sys.executable, "-m", "pip", command, *_ALWAYS, *words],
        environment=dict(os.environ),
        timeout=timeout,
    )
    if not outcome.ok and "No module named pip" in outcome.words:
        raise HostError(
            f"this interpreter has no pip: {sys.executable}",
            hint=f"`{sys.executable} -m ensurepip` adds it",
        )
    return outcome
