"""compose.yml (https://github.com/compose-spec/compose-spec/blob/main/spec.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pgstead.model.containers import Composition, Container, Published, Until
from pgstead.render import yaml_text
from pgstead.render.yaml_text import Value

_MB = 2**20


def compose(composition: Composition, tags: Mapping[str, str]) -> str:
    """Return compose.yml; `tags` are those of the images that are built, by their stage."""
    told: dict[str, Value] = {
        "name": composition.project,
        "services": {c.name: _service(composition, c, tags) for c in composition.containers},
        "networks": {
            "internal": {"internal": True, "ipam": _internal(composition)},
            "edge": {"ipam": {"config": [{"subnet": composition.edge}]}},
        },
        "volumes": {name: {} for name in composition.volumes},
    }
    head = (
        "# made by `pgstead render compose`; `pgstead up --target compose` makes it anew\n"
        "# `docker compose up --detach --build` starts it: there is no password to be set\n"
    )
    return head + yaml_text.text(told)


def _internal(composition: Composition) -> Value:
    """Keep what the engine gives out apart from what containers have for ever."""
    told: dict[str, Value] = {"subnet": composition.internal, "ip_range": composition.given}
    return {"config": [{**told, "gateway": composition.gateway}]}


def _service(composition: Composition, container: Container, tags: Mapping[str, str]) -> Value:
    told: dict[str, Value] = {
        **_image(composition, container, tags),
        **({"profiles": [container.profile]} if container.profile else {}),
        **({"user": container.user} if container.user else {}),
        **({"entrypoint": _words(container.entrypoint)} if container.entrypoint else {}),
        **({"command": _words(container.command)} if container.command else {}),
        **({"working_dir": container.directory} if container.directory else {}),
        **({"environment": environment} if (environment := _environment(container)) else {}),
        "restart": "no" if container.once else "unless-stopped",
        "init": True,  # signals reach the program, and nobody's children stay as zombies
        **_confinement(container),
        **_limits(container),
        **_connections(container),
        **_mounts(container),
        **_life(container),
        # A container's own words; the server's and the pooler's logs lie in their volumes.
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
    }
    return told


def _image(
    composition: Composition, container: Container, tags: Mapping[str, str]
) -> dict[str, Value]:
    """Name the image by what it is built of: one that is there is not built again."""
    if not container.built:
        return {"image": container.image}
    image = f"{composition.project}-{container.image}:{tags[container.image]}"
    first = next(c for c in composition.containers if c.built and c.image == container.image)
    if container is not first:
        return {"image": image, "pull_policy": "never"}  # no registry has it
    build = {"context": ".", "target": container.image}
    return {"image": image, "build": build}


def _environment(container: Container) -> Mapping[str, Value]:
    told = {name: _verbatim(value) for name, value in container.environment.items()}
    return told | {name: f"${{{name}:-{default}}}" for name, default in container.passed.items()}


def _words(command: Sequence[str]) -> Value:
    return [_verbatim(word) for word in command]


def _verbatim(text: str) -> str:
    """Return a text that Compose expands nothing in."""
    return text.replace("$", "$$")


def _confinement(container: Container) -> dict[str, Value]:
    return {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": [f"{place}:mode=1777,size=64m" for place in container.temporary],
    }


def _limits(container: Container) -> dict[str, Value]:
    limits = container.limits
    return {
        "mem_limit": f"{limits.memory // _MB}m",
        "cpus": limits.cpus,
        "pids_limit": limits.processes,
        **({"shm_size": f"{limits.shared // _MB}m"} if limits.shared else {}),
    }


def _connections(container: Container) -> dict[str, Value]:
    internal: dict[str, Value] = {}
    if container.alias:
        internal["aliases"] = [container.alias]
    if container.address:
        internal["ipv4_address"] = container.address
    networks: dict[str, Value] = {"internal": internal}
    if container.published or container.outward:
        networks["edge"] = {}
    found: dict[str, Value] = {"networks": networks}
    if container.published:
        found["ports"] = [_port(port) for port in container.published]
    if container.hosts:
        found["extra_hosts"] = dict(container.hosts)
    return found


def _port(port: Published) -> str:
    return f"{port.where}:{port.target}"


def _mounts(container: Container) -> dict[str, Value]:
    if not container.mounts:
        return {}
    ends = {True: ":ro", False: ""}
    return {"volumes": [f"{m.source}:{m.target}{ends[m.read_only]}" for m in container.mounts]}


def _life(container: Container) -> dict[str, Value]:
    found: dict[str, Value] = {"stop_grace_period": f"{container.stop_seconds}s"}
    if container.stop_signal:
        found["stop_signal"] = container.stop_signal
    if container.waits:
        found["depends_on"] = {name: _awaited(until) for name, until in container.waits.items()}
    if container.health is not None:
        found["healthcheck"] = {
            "test": ["CMD-SHELL", _verbatim(container.health.test)],
            "interval": "10s",  # DEP-9
            "timeout": "5s",
            "retries": 5,
            "start_period": f"{container.health.start_period}s",
        }
    return found


def _awaited(until: Until) -> Value:
    return {"condition": until.value}


def machine(figures: Mapping[str, object]) -> str:
    """Return the file that tells containers of the machine that they are sized for."""
    return json.dumps(figures, indent=2, sort_keys=True) + "\n"
