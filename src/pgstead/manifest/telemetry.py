"""What the manifest says of telemetry: how often, how long, from which value on, and where to."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    WithJsonSchema,
    model_validator,
)

from pgstead.manifest import names
from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Duration, Switch, duration, size


def _amount(value: object) -> float:
    """Read a number in the field's own unit, or a text with one: "60s", "1GB", "75%"."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1]) / 100
    for read in (duration, size):
        try:
            return float(read(value))
        except ValueError:
            continue
    raise ValueError('allowed: a number, or a text like "60s", "1GB", "75%"')


Amount = Annotated[
    float,
    BeforeValidator(_amount),
    Field(allow_inf_nan=False),
    WithJsonSchema({"type": ["number", "string"]}),
]


class ThresholdEntry(Part):
    """From which value on a field of `/health/db` is a warning, or critical."""

    warning: Amount | None = Field(default=None, description="In the field's unit, or with one.")
    critical: Amount | None = Field(default=None, description="The same; worse than the warning.")
    hysteresis: Annotated[float, Field(ge=0, le=0.5)] | None = Field(
        default=None, description="Share of a threshold that a value has to come back by."
    )


class Otlp(Part):
    """Where metrics and traces are sent (OpenTelemetry protocol)."""

    endpoint: Annotated[str, Field(pattern=r"^(https?://[^\s/@]+(/\S*)?)?$")] = Field(
        default="", description='A collector, e.g. "http://localhost:4318"; empty: none.'
    )
    protocol: Literal["http", "grpc"] = Field(
        default="http", description="http goes to port 4318, grpc to 4317 (extra otlp-grpc)."
    )
    headers_file: str = Field(
        default="", description="File of lines `name: value`, for credentials."
    )
    interval: Annotated[Duration, Field(ge=1, le=3600)] = Field(
        default=60.0, description="How often metrics are sent."
    )
    traces: Switch = Field(
        default=False, description="Send a span for each statement, its literals left out."
    )


class Window(Part):
    """A declared stretch of time that availability leaves out (REL-5)."""

    begins: AwareDatetime = Field(description="With its zone: 2026-12-01T02:00:00Z.")
    ends: AwareDatetime = Field(description="Later than it begins.")
    reason: str = Field(default="", description="For who reads the figures.")

    @model_validator(mode="after")
    def _ends_later(self) -> Self:
        if self.ends <= self.begins:
            raise ValueError("it ends before it begins")
        return self


class Telemetry(Part):
    """Samples of everything, health with thresholds, metrics for others (TEL-1 to TEL-8)."""

    enabled: Switch = Field(default=True, description="False: nothing is watched.")
    interval: Annotated[Duration, Field(ge=1, le=300)] = Field(
        default=30.0, description="How often is looked; what is dear every ten times."
    )
    retention: Annotated[Duration, Field(ge=3600)] = Field(
        default=172_800.0, description="How long samples are kept; availability 31 days."
    )
    allow: tuple[Annotated[str, AfterValidator(names.network)], ...] = Field(
        default=(),
        description="Networks that see more than the status, beside loopback; /metrics too.",
    )
    thresholds: dict[str, ThresholdEntry] = Field(
        default_factory=dict, description="By the names of the fields of /health/db."
    )
    maintenance: tuple[Window, ...] = Field(
        default=(), description="Declared maintenance, which availability leaves out."
    )
    otlp: Otlp = Field(default_factory=Otlp, description="OpenTelemetry export.")
