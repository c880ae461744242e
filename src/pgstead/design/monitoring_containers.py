"""Who watches a stead in containers: Compose profiles, there only when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from pgstead.design.memory import GB, MB
from pgstead.manifest.document import Manifest
from pgstead.model.containers import Container, Health, Limits, Mount, Published

FILES = "./monitoring"  # beside compose.yml
_NOBODY = "65534:65534"  # Prometheus' images declare it, as the owner of their volumes
_ASKS = "wget -q -O /dev/null http://127.0.0.1"


def containers(manifest: Manifest) -> Iterator[Container]:
    """Yield collector, Prometheus, Alertmanager and Grafana; none where nothing is served."""
    if not any(entry.service for entry in manifest.databases):
        return
    yield _collector(manifest)
    yield _prometheus(manifest)
    yield _alertmanager(manifest)
    yield _grafana(manifest)


def asked(manifest: Manifest) -> tuple[str, ...]:
    """Return the profiles that are started, each once."""
    return tuple(dict.fromkeys(manifest.containers.profiles))


def _published(manifest: Manifest, outside: int, inside: int) -> tuple[Published]:
    return (Published(manifest.containers.publish, outside, inside),)


def _collector(manifest: Manifest) -> Container:
    return Container(
        name="collector",
        image=manifest.containers.image.collector,
        built=False,
        command=("--config", "/etc/otelcol/collector.yml"),
        limits=Limits(memory=512 * MB, cpus=1, processes=64),
        user="10001:10001",
        mounts=(Mount(f"{FILES}/collector.yml", "/etc/otelcol/collector.yml", read_only=True),),
        alias="collector.internal",
        profile="collector",  # its image has no shell that could be asked for health
    )


def _prometheus(manifest: Manifest) -> Container:
    return Container(
        name="prometheus",
        image=manifest.containers.image.prometheus,
        built=False,
        command=(
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=15d",
        ),
        limits=Limits(memory=GB, cpus=1, processes=128),
        user=_NOBODY,
        mounts=(
            Mount("prometheus", "/prometheus"),
            Mount(f"{FILES}/prometheus", "/etc/prometheus", read_only=True),
        ),
        published=_published(manifest, manifest.containers.ports.prometheus, 9090),
        alias="prometheus.internal",
        health=Health(f"{_ASKS}:9090/-/ready"),
        profile="monitoring",
    )


def _alertmanager(manifest: Manifest) -> Container:
    return Container(
        name="alertmanager",
        image=manifest.containers.image.alertmanager,
        built=False,
        command=(
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
        ),
        limits=Limits(memory=256 * MB, cpus=1, processes=64),
        user=_NOBODY,
        mounts=(
            Mount("alertmanager", "/alertmanager"),
            Mount(f"{FILES}/alertmanager", "/etc/alertmanager", read_only=True),
        ),
        published=_published(manifest, manifest.containers.ports.alertmanager, 9093),
        alias="alertmanager.internal",
        health=Health(f"{_ASKS}:9093/-/ready"),
        profile="monitoring",
    )


def _grafana(manifest: Manifest) -> Container:
    return Container(
        name="grafana",
        image=manifest.containers.image.grafana,
        built=False,
        command=(),
        limits=Limits(memory=512 * MB, cpus=1, processes=128),
        user="472:0",  # as its image
        # Nobody can log in, so there is no administrator whose password would be a default: who
        # reaches the port on loopback may look.
        environment={
            "GF_AUTH_ANONYMOUS_ENABLED": "true",
            "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
            "GF_AUTH_DISABLE_LOGIN_FORM": "true",
            "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        },
        mounts=(
            Mount("grafana", "/var/lib/grafana"),
            Mount(f"{FILES}/grafana", "/etc/grafana/provisioning", read_only=True),
        ),
        published=_published(manifest, manifest.containers.ports.grafana, 3000),
        alias="grafana.internal",
        health=Health(f"{_ASKS}:3000/api/health"),
        profile="grafana",
    )
