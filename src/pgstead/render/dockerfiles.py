"""The Dockerfile: a stage for each image that a stead is built of.

`server` is PostgreSQL with pgaudit, and nothing of Python; `pooler` is PgBouncer, and psql, which
its health check asks with; `packages` is what pip installs, from wheels that lie beside, so that
the build asks no package index; `toolbox` is the server's programs, PgBouncer's and Barman's, and
pgstead with the application; `service` is the same without any program of the server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pgstead.catalog import gaps
from pgstead.catalog.lookup import MAJORS
from pgstead.design import container_directories
from pgstead.design.containers import POOLER_FLOOR
from pgstead.manifest.document import Manifest
from pgstead.model.containers import (
    CLUSTER,
    HANDED,
    HOME,
    MACHINE,
    PACKAGES,
    STEAD,
    TOOLCHAIN,
)

BASE = "base"  # containers.image.server: packages of the base
APART = frozenset({"server", "pooler"})  # stages that take nothing from the directory
_CLEAN = "rm -rf /var/lib/apt/lists/*"
_PARTS = ("server", "pooler", "backup", "telemetry", "tls", "connections", "persons", HANDED)


def text(
    manifest: Manifest, handed: Sequence[str], sets: Mapping[str, str], place: str = STEAD
) -> str:
    """Return the Dockerfile.

    `handed` are the directories that other containers are handed; `sets` are the packages of
    programs beside us (NAME.txt pins them), and where each is looked for; `place` is where the
    manifest lies.
    """
    head = "# made by `pgstead render compose`; one image is built of each stage\n"
    return head + "\n".join(stages(manifest, handed, sets, place).values())


def stages(
    manifest: Manifest, handed: Sequence[str], sets: Mapping[str, str], place: str = STEAD
) -> Mapping[str, str]:
    """Return the Dockerfile's stages, by name, in their order."""
    major = manifest.server.major
    return {
        "server": _server(manifest, major),
        "pooler": _pooler(manifest),
        "packages": _packages(manifest, sets),
        "toolbox": _toolbox(manifest, handed, place),
        "service": _service(manifest, place),
    }


def _install(*packages: str) -> str:
    return (
        "apt-get update && apt-get install --yes --no-install-recommends "
        f"{' '.join(packages)} && {_CLEAN}"
    )


def _user(manifest: Manifest) -> str:
    """Make the user before Debian's packages do, so that its number is the same everywhere."""
    uid = manifest.containers.uid
    return (
        f"getent passwd postgres >/dev/null || {{ groupadd --gid {uid} postgres && useradd"
        f" --uid {uid} --gid {uid} --home-dir {CLUSTER} --shell /usr/sbin/nologin postgres; }};"
        f' test "$(id -u postgres)" = {uid}'
    )


def _state(manifest: Manifest, handed: Sequence[str] = (), parts: Sequence[str] = _PARTS) -> str:
    """Make the directories that volumes are mounted on: a new volume takes their owner and mode."""
    uid = manifest.containers.uid
    inner = [f"{HOME}/{part}" for part in parts]
    inner += [f"{HOME}/{HANDED}/{name}" for name in handed]
    places = " ".join((CLUSTER, HOME, *inner))
    return f"install --directory --owner={uid} --group={uid} --mode=0700 {places}"


def _from(image: str, stage: str) -> str:
    return f"FROM {image} AS {stage}\nENV DEBIAN_FRONTEND=noninteractive\n"


def server_image(manifest: Manifest) -> str:
    """Return what the server's stage begins with."""
    told = manifest.containers.image.server
    if told == BASE:
        return manifest.containers.image.base
    newest = gaps.newest_server(manifest.server.major)
    return told or f"docker.io/library/postgres:{newest}-trixie"


def pooler_image(manifest: Manifest) -> str:
    """Return what the pooler's stage begins with, whichever version the server is of."""
    newest = gaps.newest_server(max(MAJORS))
    told = manifest.containers.image.pooler
    return told or f"docker.io/library/postgres:{newest}-trixie"


def _server(manifest: Manifest, major: int) -> str:
    own = manifest.containers.image.server == BASE
    packages = [f"postgresql-{major}-pgaudit"]
    lines = [_from(server_image(manifest), "server").rstrip()]
    if own:
        packages = ["ca-certificates", f"postgresql-{major}", *packages]
        # Debian's package would make a cluster of its own.
        without = "echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf"
        lines.append(f"RUN {_user(manifest)} && mkdir -p /etc/postgresql-common && {without}")
    lines += [
        f"RUN {_install(*packages)}",
        f"RUN {_user(manifest)} && {_state(manifest)}",
        f"ENV PATH=/usr/lib/postgresql/{major}/bin:$PATH",
        "USER postgres",
        'ENTRYPOINT ["postgres"]',
    ]
    return "\n".join(lines) + "\n"


def _pooler(manifest: Manifest) -> str:
    """Return a stage that hangs on no version of the server: an upgrade cuts off no client."""
    own = manifest.containers.image.server == BASE
    image = manifest.containers.image.base if own else pooler_image(manifest)
    floor = ".".join(map(str, POOLER_FLOOR))
    # What is older has known holes: the build ends rather than that it is run.
    check = (
        "version=$(pgbouncer --version | sed -n 's/^PgBouncer //p') &&"
        f' dpkg --compare-versions "$version" ge {floor} || '
        f'{{ echo "PgBouncer $version is older than {floor}" >&2; exit 1; }}'
    )
    # not Debian's wrapper: that is a Perl program, at every look at the health
    psql = (
        'ln -s "$(ls -d /usr/lib/postgresql/*/bin/psql | sort -V | tail -n 1)" /usr/local/bin/psql'
    )
    return (
        f"{_from(image, 'pooler')}USER root\n"
        f"RUN {_user(manifest)} && {_install('pgbouncer', 'postgresql-client')}\n"
        f"RUN {check}\n"
        f"RUN {psql}\n"
        f"RUN {_state(manifest)}\n"
        "USER postgres\n"
        'ENTRYPOINT ["/usr/sbin/pgbouncer"]\n'
    )


def _packages(manifest: Manifest, sets: Mapping[str, str]) -> str:
    pip = f"{PACKAGES}/bin/pip install --no-cache-dir --no-compile --no-index --find-links /wheels"
    own = "".join(
        f"COPY {name}.txt /{name}.txt\n"
        f"RUN {pip} --no-deps --require-hashes --target {place} --requirement /{name}.txt\n"
        for name, place in sets.items()
    )
    return (
        f"{_from(manifest.containers.image.base, 'packages')}"
        f"RUN {_install('python3', 'python3-venv')}\n"
        f"RUN python3 -m venv {PACKAGES}\n"
        "COPY wheels /wheels\n"
        f"{own}"
        "COPY requirements.txt /requirements.txt\n"
        f"RUN {pip} --no-deps --requirement /requirements.txt\n"
        f"RUN {PACKAGES}/bin/python -m compileall -q {PACKAGES} {TOOLCHAIN}\n"
    )


def _application(manifest: Manifest, place: str) -> str:
    """Copy what changes often last, so that the builder's cache holds the rest."""
    packages = f"{PACKAGES}/lib/python{manifest.containers.python}/site-packages"
    files, owner = container_directories.directories(manifest, place), manifest.containers.uid
    install = f"install --directory --owner={owner} --group={owner} --mode=0700"
    return (
        "COPY --chmod=0755 pgstead /usr/local/bin/pgstead\n"
        f"COPY toolbox {packages}\n"
        f"COPY application {STEAD}\n"
        f"COPY stead {place}\n" + (f"RUN {install} {' '.join(files)}\n" if files else "")
    )


def _toolbox(manifest: Manifest, handed: Sequence[str], place: str) -> str:
    # zstd and lz4: Barman reads a backup's label out of it through the programs
    packages = ("python3", "pgbouncer", "rsync", "gpg", "gpg-agent", "openssl", "zstd", "lz4")
    state = _state(manifest, handed, (*_PARTS, "store"))
    return (
        "FROM server AS toolbox\n"
        "USER root\n"
        f"RUN {_install(*packages)}\n"
        f"RUN {state} && ln -s {TOOLCHAIN} {HOME}/toolchain\n"
        f"COPY --from=packages {TOOLCHAIN} {TOOLCHAIN}\n"
        f"COPY --from=packages {PACKAGES} {PACKAGES}\n"
        f"COPY machine.json {MACHINE}\n"
        f"{_application(manifest, place)}"
        f"WORKDIR {place}\n"
        "USER postgres\n"
        'ENTRYPOINT ["/usr/local/bin/pgstead"]\n'
    )


def _service(manifest: Manifest, place: str) -> str:
    return (
        f"{_from(manifest.containers.image.base, 'service')}"
        f"RUN {_user(manifest)} && {_install('python3')}\n"
        f"RUN {_state(manifest)}\n"
        f"COPY --from=packages {PACKAGES} {PACKAGES}\n"
        f"{_application(manifest, place)}"
        f"WORKDIR {place}\n"
        "USER postgres\n"
        f'ENTRYPOINT ["{PACKAGES}/bin/python", "-m", "pgstead.serve"]\n'
    )


LAUNCHER = f'#!/bin/sh\nexec {PACKAGES}/bin/python -m pgstead "$@"\n'
