"""The machine as values: memory, CPUs, addresses, names, users."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgstead.errors import HostError
from pgstead.host import programs, users
from pgstead.model.host import HostFacts

# cgroup v1 says "no limit" with the largest page-aligned number (memory controller manual).
_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class _Group:
    """One cgroup directory of this process, and which version its files speak."""

    directory: Path
    version: int


def gather(server_user: str | None = None) -> HostFacts:
    """Look at the machine. Raises NoServerUserError as root without an unprivileged user."""
    server, service = users.choose(server_user)
    limit, limit_source = memory_limit()
    memory = _memory()
    bounded = limit is not None and limit < memory
    cpus, cpus_source = usable_cpus()
    return HostFacts(
        memory=memory,
        memory_limit=limit,
        memory_source=limit_source if bounded else "/proc/meminfo",
        cpus=cpus,
        cpus_source=cpus_source,
        ipv6=_ipv6(),
        hostnames=_hostnames(),
        os_user=programs.my_name(),
        server_user=server,
        service_user=service,
    )


def _memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        raise HostError(
            "the size of this machine's memory cannot be read", hint="set server.memory"
        ) from None


def memory_limit(proc: Path = Path("/proc/self")) -> tuple[int | None, str]:
    """Return the smallest memory limit on the way up from this process's cgroup, and its file."""
    found: list[tuple[int, str]] = []
    for group in _groups(proc, "memory"):
        names = ("memory.max", "memory.high") if group.version == 2 else ("memory.limit_in_bytes",)
        for name in names:
            value = _number(group.directory / name)
            if value is not None and value < _UNLIMITED:
                found.append((value, str(group.directory / name)))
    return min(found, default=(None, "/proc/meminfo"))


def usable_cpus(proc: Path = Path("/proc/self")) -> tuple[float, str]:
    """Return how many CPUs this process may use: affinity, and the cgroup's quota."""
    found = [(float(_affinity()), "CPU affinity")]
    for group in _groups(proc, "cpu"):
        quota = _quota_v2(group) if group.version == 2 else _quota_v1(group)
        if quota is not None:
            found.append((quota, str(group.directory)))
    return min(found)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota_v2(group: _Group) -> float | None:
    words = _text(group.directory / "cpu.max").split()
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _quota_v1(group: _Group) -> float | None:
    quota = _number(group.directory / "cpu.cfs_quota_us")
    period = _number(group.directory / "cpu.cfs_period_us")
    if quota is None or not period or quota < 0:
        return None
    return quota / period


def _groups(proc: Path, controller: str) -> Iterator[_Group]:
    """Yield this process's cgroup for a controller and all above it, as far as they are mounted.

    A container sees only its own part: the mount's root is cut off the path (cgroups(7)).
    """
    paths = dict(_cgroup_paths(proc, controller))
    for mount_root, mount_point, version in _cgroup_mounts(proc, controller):
        path = paths.get(version)
        if path is None:
            continue
        inside = "" if mount_root == "/" else mount_root
        relative = path[len(inside) :] if path.startswith(inside) else ""
        directory = Path(mount_point, *Path(relative.lstrip("/")).parts)
        while True:
            yield _Group(directory, version)
            if directory == Path(mount_point) or directory == directory.parent:
                break
            directory = directory.parent


def _cgroup_paths(proc: Path, controller: str) -> Iterator[tuple[int, str]]:
    for line in _text(proc / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield 2, path
        elif controller in controllers.split(","):
            yield 1, path


def _cgroup_mounts(proc: Path, controller: str) -> Iterator[tuple[str, str, int]]:
    """Yield (root, mount point, version) from mountinfo (proc_pid_mountinfo(5))."""
    for line in _text(proc / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield _unescaped(fields[3]), _unescaped(fields[4]), 2
        elif kind[0] == "cgroup" and controller in kind[2].split(","):
            yield _unescaped(fields[3]), _unescaped(fields[4]), 1


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(_text(path).strip())
    except ValueError:  # "max", or no such file
        return None


def _ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _hostnames() -> tuple[str, ...]:
    """Return this machine's names from the kernel and /etc/hosts; DNS could hang."""
    name = socket.gethostname()
    found = {name} if name else set[str]()
    for line in _text(Path("/etc/hosts")).splitlines():
        words = line.partition("#")[0].split()[1:]
        if name in words:
            found.update(words)
    local = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
    return tuple(sorted(found - local))
