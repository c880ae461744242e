"""The container that this process runs in, if it is one of ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pgstead.errors import HostError
from pgstead.model.containers import MACHINE
from pgstead.model.host import ContainerNetwork, HostFacts

_FIGURES = ("memory", "memory_limit", "memory_source", "cpus", "cpus_source")


def is_ours(file: Path = Path(MACHINE)) -> bool:
    """Say whether this is a container that `pgstead render compose` described."""
    return file.is_file()


def reckoned(host: HostFacts, network: ContainerNetwork, file: Path = Path(MACHINE)) -> HostFacts:
    """Return the facts with the figures of the machine that the containers were sized for.

    The server runs in a container with limits of its own, which nobody sees from here.
    """
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        figures = {name: told[name] for name in _FIGURES}
    except (OSError, ValueError, KeyError) as error:
        raise HostError(
            f"{file} does not tell the figures of a machine: {error}",
            hint="`pgstead render compose` writes it; build the images anew",
        ) from error
    return replace(host, **figures, ipv6=False, network=network)


def figures(host: HostFacts) -> dict[str, object]:
    """Return what `reckoned` reads."""
    return {name: getattr(host, name) for name in _FIGURES}
