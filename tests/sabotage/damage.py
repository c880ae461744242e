"""The register of sabotages: what is damaged, which promises it breaks, which it blinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from pgstead.model.design import Design
from tests.sabotage.scene import Scene

EVERYTHING = ("*",)

Body = Callable[[Scene], Iterator[Design | None]]


@dataclass(frozen=True)
class Sabotage:
    """A deliberate damage with its exact consequences."""

    name: str
    text: str
    aims_at: tuple[str, ...]  # the promises that it is for
    also_breaks: tuple[str, ...]  # what it breaks besides, each for a reason that is plain
    blinds: tuple[str, ...]  # what can no longer be tried while it lasts
    shakes: tuple[str, ...]  # what it breaks with some versions and not with others
    disruptive: bool
    where: str  # the fixture of the stead that it is done to
    alone: bool  # nothing else of the capability is tried with it: that would take too long
    damage: Callable[[Scene], AbstractContextManager[Design | None]]

    @property
    def breaks(self) -> frozenset[str]:
        """All that turns broken."""
        return frozenset(self.aims_at + self.also_breaks)

    def may_blind(self, code: str) -> bool:
        """Say whether a promise may turn unproven meanwhile."""
        return self.blinds == EVERYTHING or code in self.blinds


def sabotage(
    *aims_at: str,
    also: tuple[str, ...] = (),
    blinds: tuple[str, ...] = (),
    shakes: tuple[str, ...] = (),
    disruptive: bool = False,
    where: str = "scene",
    alone: bool = False,
) -> Callable[[Body], Sabotage]:
    """Make a sabotage of a generator that damages, yields (a forged design or None), and mends."""

    def made(body: Body) -> Sabotage:
        return Sabotage(
            name=body.__name__,
            text=(body.__doc__ or "").strip(),
            aims_at=aims_at,
            also_breaks=also,
            blinds=blinds,
            shakes=shakes,
            disruptive=disruptive,
            where=where,
            alone=alone,
            damage=contextmanager(body),
        )

    return made
