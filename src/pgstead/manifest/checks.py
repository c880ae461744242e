"""What no single key can tell: names used twice, ports, settings, the rules of production."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import date

from pgstead.catalog import lookup, ownership, pooler
from pgstead.errors import ManifestError
from pgstead.manifest import alert_checks, names, thresholds
from pgstead.manifest.document import Chosen, Manifest
from pgstead.manifest.problems import Problem
from pgstead.model.design import Environment

ROLES = ("owner", "app", "admin", "readonly", "migrator")


def problems(manifest: Manifest, today: date) -> list[Problem]:
    """Return all that is wrong beyond single keys."""
    return [
        *_names(manifest),
        *_ports(manifest),
        *_tls(manifest),
        *_networks(manifest),
        *_server_settings(manifest),
        *_pooler_settings(manifest),
        *thresholds.problems(manifest.telemetry),
        *alert_checks.problems(manifest),
        *_waivers(manifest, today),
    ]


def _names(manifest: Manifest) -> Iterator[Problem]:
    databases: dict[str, str] = {}
    roles: dict[str, str] = {}
    for index, database in enumerate(manifest.databases):
        key = f"databases[{index}]"
        twice = list(_once(f"{key}.name", database.name, databases))
        yield from twice
        for role in () if twice else ROLES:  # its roles would be named twice as well
            yield from _once(f"{key}.{role}", str(getattr(database, role)), roles)
        known: dict[str, str] = {}
        for number, process in enumerate(database.processes):
            place = f"{key}.processes[{number}].name"
            if process.name in known:
                yield Problem(place, f'"{process.name}" is listed twice')
            known[process.name] = place


def _once(key: str, name: str, seen: dict[str, str]) -> Iterator[Problem]:
    if why := names.reserved(name):
        yield Problem(key, why, "choose another name")
    elif name in seen:
        hint = "each needs a name of its own: roles belong to the whole server"
        yield Problem(key, f'"{name}" is used already by {seen[name]}', hint)
    seen.setdefault(name, key)


def _ports(manifest: Manifest) -> Iterator[Problem]:
    taken = {manifest.server.port: "server.port"}
    wanted = [("pooler.port", manifest.pooler.port)] if manifest.pooler.enabled else []
    wanted += [
        (f"databases[{index}].service.port", database.service.port)
        for index, database in enumerate(manifest.databases)
        if database.service
    ]
    wanted += _watchers(manifest)
    for key, port in wanted:
        if port in taken:
            yield Problem(key, f"{port} is used already by {taken[port]}", "choose another port")
        taken.setdefault(port, key)


def _watchers(manifest: Manifest) -> Iterator[tuple[str, int]]:
    """Yield the ports of those who are asked to watch beside."""
    asked, ports = manifest.containers.profiles, manifest.containers.ports
    if "monitoring" in asked:
        yield "containers.ports.prometheus", ports.prometheus
        yield "containers.ports.alertmanager", ports.alertmanager
    if "grafana" in asked:
        yield "containers.ports.grafana", ports.grafana


def _tls(manifest: Manifest) -> Iterator[Problem]:
    given = {key: getattr(manifest.tls, key) for key in ("ca", "certificate", "key")}
    missing = [key for key, value in given.items() if not value]
    if manifest.tls.clients and manifest.tls.ca:
        yield Problem(
            "tls.clients",
            "cannot be issued by a CA that the user brought",
            "issue them where the CA's key is, or leave the CA to pgstead",
        )
    if missing and len(missing) < len(given):
        have = ", ".join(f"tls.{key}" for key in given if given[key])
        yield Problem(
            f"tls.{missing[0]}",
            f"is missing beside {have}",
            "a certificate of your own needs tls.ca, tls.certificate and tls.key; without all "
            "three pgstead makes them",
        )


def _networks(manifest: Manifest) -> Iterator[Problem]:
    networks = manifest.networks
    outside = [n for n in networks.allow if not ipaddress.ip_network(n).is_loopback]
    if outside and not networks.listen:
        yield Problem(
            "networks.listen",
            f"is missing, although networks.allow has {', '.join(outside)}",
            'name the addresses to listen on, or ["0.0.0.0", "::"] for all',
        )
    everyone = [n for n in outside if ipaddress.ip_network(n).prefixlen == 0]
    if everyone and not manifest.waives("open-network"):
        yield Problem(
            "networks.allow",
            f"{', '.join(everyone)} is everyone",
            'name the networks, or waive it: [[waive]] what = "open-network"',
        )


def _server_settings(manifest: Manifest) -> Iterator[Problem]:
    major = manifest.server.major
    seen: dict[str, str] = {}
    for name, chosen in manifest.server.settings.items():
        key = f"server.settings.{name}"
        if (first := seen.setdefault(name.lower(), name)) != name:
            yield Problem(key, f"is the same setting as {first}", "keep one of them")
            continue
        try:
            spec = lookup.spec(major, name)
            value = lookup.canonical(major, name, chosen.value)
        except ManifestError as error:
            yield Problem(key, error.message, error.hint)
            continue
        owned = ownership.of(spec)
        if owned.owner is ownership.Owner.OURS:
            yield Problem(key, "pgstead decides it", owned.why)
        elif value in owned.values:
            yield Problem(key, f'"{chosen.value}" is forbidden', owned.why)
        yield from _reason(manifest, key, chosen)


def _pooler_settings(manifest: Manifest) -> Iterator[Problem]:
    for name, chosen in manifest.pooler.settings.items():
        key = f"pooler.settings.{name}"
        try:
            option = pooler.option(name)
            pooler.canonical(name, chosen.value)
        except ManifestError as error:
            yield Problem(key, error.message, error.hint)
            continue
        if option.ours:
            yield Problem(key, "pgstead decides it", option.ours)
        yield from _reason(manifest, key, chosen)


def _reason(manifest: Manifest, key: str, chosen: Chosen) -> Iterator[Problem]:
    if manifest.environment is Environment.PRODUCTION and not chosen.reason.strip():
        hint = f'write {{ value = "{chosen.value}", reason = "..." }}'
        yield Problem(key, "production needs a reason for every override", hint)


def _waivers(manifest: Manifest, today: date) -> Iterator[Problem]:
    for index, waiver in enumerate(manifest.waive):
        key = f"waive[{index}].expires"
        if waiver.expires is None:
            if manifest.environment is Environment.PRODUCTION:
                yield Problem(key, "production needs a day on which a waiver ends (SRV-13)")
        elif waiver.expires < today:
            yield Problem(
                key,
                f'the waiver of "{waiver.what}" expired on {waiver.expires.isoformat()}',
                "mend what it covers, or sign it again",
            )
