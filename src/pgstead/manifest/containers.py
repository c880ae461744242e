"""The table `[containers]`: what Compose runs the stead in."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pgstead.manifest import names
from pgstead.manifest.part import Part
from pgstead.manifest.quantities import Port, Switch, Whole

_IMAGE = r"^([a-z0-9][A-Za-z0-9._:@/-]*)?$"
_SMALLEST = 26  # two networks of 32 addresses each


def _subnet(text: str) -> str:
    network = ipaddress.ip_network(names.network(text))
    if network.version != 4 or network.prefixlen > _SMALLEST or not network.is_private:
        raise ValueError(f"{text} is no private IPv4 network of 64 addresses or more")
    return str(network)


Image = Annotated[str, Field(pattern=_IMAGE)]


class Images(Part):
    """What the images are made of; by tag or digest."""

    base: Image = Field(
        default="docker.io/library/debian:trixie-slim",
        description="A Debian, for all but the server.",
    )
    server: Image = Field(
        default="",
        description='PostgreSQL\'s image; else the official one; "base": packages of the base.',
    )
    pooler: Image = Field(
        default="",
        description="What PgBouncer and psql are added to; else PostgreSQL's official image.",
    )
    collector: Image = Field(
        default="docker.io/otel/opentelemetry-collector-contrib:0.140.0",
        description="Profile `collector`.",
    )
    prometheus: Image = Field(
        default="docker.io/prom/prometheus:v3.7.3", description="Profile `monitoring`."
    )
    alertmanager: Image = Field(
        default="docker.io/prom/alertmanager:v0.29.0", description="Profile `monitoring`."
    )
    grafana: Image = Field(
        default="docker.io/grafana/grafana:12.3.0", description="Profile `grafana`."
    )
    store: Image = Field(
        default="docker.io/versity/versitygw:v1.7.0", description="Profile `store`."
    )


class Ports(Part):
    """Where those who watch beside are reached, on `publish`."""

    prometheus: Port = Field(default=9090, description="Profile `monitoring`.")
    alertmanager: Port = Field(default=9093, description="Profile `monitoring`.")
    grafana: Port = Field(default=3000, description="Profile `grafana`.")


class Containers(Part):
    """The stead in containers (`pgstead render compose`)."""

    image: Images = Field(default_factory=Images, description="What the images are made of.")
    python: Annotated[str, Field(pattern=r"^3\.(1[1-9])$")] = Field(
        default="3.13", description="The Python that the base has."
    )
    requirements: str = Field(
        default="",
        description="Pinned packages of the services, beside the manifest; else what runs here.",
    )
    publish: Annotated[str, AfterValidator(names.address)] = Field(
        default="127.0.0.1", description="Address of this machine that ports are published on."
    )
    network: Annotated[str, AfterValidator(_subnet)] = Field(
        default="10.213.52.0/24",
        description="Addresses of the containers: one half internal, one half for published ports.",
    )
    profiles: tuple[Literal["collector", "monitoring", "grafana"], ...] = Field(
        default=(), description="Who watches beside, of those."
    )
    ports: Ports = Field(default_factory=Ports, description="Where they are reached.")
    store: Switch = Field(
        default=False,
        description="Keep a copy of the backups in a store beside, that speaks S3.",
    )
    uid: Annotated[Whole, Field(ge=1, le=65533)] = Field(
        default=999, description="Number of the user that runs everything."
    )
