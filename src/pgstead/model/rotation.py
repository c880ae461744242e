"""What a rotation goes by: how old credentials may become, and how far a CA's rotation is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class RotationPlan:
    """How old credentials may become, in seconds, and when the agent looks."""

    password_age: float = 90 * 86_400.0
    key_age: float = 365 * 86_400.0
    ca_window: float = 7 * 86_400.0
    watch: float = 60.0  # how long the agent looks who cannot follow
    schedule: str = "0 4 * * *"  # cron, UTC
    automatic: bool = True


class CaStage(StrEnum):
    """How far the rotation of the CA is."""

    SETTLED = "settled"  # one CA, which signs
    ANNOUNCED = "announced"  # the coming one is trusted too, and signs nothing yet
    SIGNING = "signing"  # it signs; the one before is trusted still


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA as its file has it."""

    stage: CaStage
    since: datetime  # when the file was written last
    ends: datetime  # of the CA that signs
    trusted: tuple[str, ...]  # SHA-256 of each; the one that signs first
    provided: bool  # brought by the user: rotated by the user
