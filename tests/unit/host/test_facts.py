"""Limits of cgroups, version 1 and 2, as the kernel writes them down."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgstead.host import facts

GIB = 2**30


def proc(root: Path, cgroup: str, mountinfo: str) -> Path:
    """Write a /proc/self of one's own."""
    place = root / "proc"
    place.mkdir()
    (place / "cgroup").write_text(cgroup)
    (place / "mountinfo").write_text(mountinfo)
    return place


def write(path: Path, **files: str) -> None:
    """Write a cgroup directory."""
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text + "\n")


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A process in /system.slice/app.service of a cgroup version 2."""
    mount = tmp_path / "cg"
    place = proc(
        tmp_path,
        "0::/system.slice/app.service\n",
        f"30 23 0:26 / {mount} rw,nosuid - cgroup2 cgroup2 rw\n",
    )
    return place, mount


def test_the_smallest_limit_on_the_way_up_counts(two: tuple[Path, Path]) -> None:
    place, mount = two
    write(mount / "system.slice" / "app.service", memory__max="max", memory__high="max")
    write(mount / "system.slice", memory__max=str(2 * GIB))
    write(mount, memory__max=str(8 * GIB))
    assert facts.memory_limit(place) == (2 * GIB, str(mount / "system.slice" / "memory.max"))


def test_memory_high_is_a_limit_too(two: tuple[Path, Path]) -> None:
    place, mount = two
    write(mount / "system.slice/app.service", memory__max=str(2 * GIB), memory__high=str(GIB))
    assert facts.memory_limit(place)[0] == GIB


def test_without_a_limit_there_is_none(two: tuple[Path, Path]) -> None:
    place, mount = two
    write(mount / "system.slice/app.service", memory__max="max")
    assert facts.memory_limit(place) == (None, "/proc/meminfo")


def test_a_cpu_quota_of_half_a_cpu_is_half_a_cpu(two: tuple[Path, Path]) -> None:
    place, mount = two
    write(mount / "system.slice/app.service", cpu__max="50000 100000")
    assert facts.usable_cpus(place) == (0.5, str(mount / "system.slice/app.service"))


def test_a_cpu_quota_above_the_affinity_changes_nothing(two: tuple[Path, Path]) -> None:
    place, mount = two
    write(mount / "system.slice/app.service", cpu__max="99900000 100000")
    assert facts.usable_cpus(place)[1] == "CPU affinity"


def test_version_1_controllers_have_mounts_of_their_own(tmp_path: Path) -> None:
    memory, cpu = tmp_path / "memory", tmp_path / "cpu"
    place = proc(
        tmp_path,
        "4:memory:/box\n3:cpu,cpuacct:/box\n0::/\n",
        f"31 23 0:27 / {memory} rw - cgroup cgroup rw,memory\n"
        f"32 23 0:28 / {cpu} rw - cgroup cgroup rw,cpu,cpuacct\n",
    )
    write(memory / "box", memory__limit_in_bytes=str(3 * GIB))
    write(memory, memory__limit_in_bytes="9223372036854771712")
    write(cpu / "box", cpu__cfs_quota_us="25000", cpu__cfs_period_us="100000")
    write(cpu, cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert facts.memory_limit(place)[0] == 3 * GIB
    assert facts.usable_cpus(place)[0] == 0.25


def test_inside_a_container_the_mounts_root_is_cut_off_the_path(tmp_path: Path) -> None:
    mount = tmp_path / "memory space"
    told = str(mount).replace(" ", "\\040")
    place = proc(
        tmp_path,
        "4:memory:/docker/abc\n",
        f"31 23 0:27 /docker/abc {told} ro - cgroup cgroup rw,memory\n",
    )
    write(mount, memory__limit_in_bytes=str(GIB))
    assert facts.memory_limit(place)[0] == GIB


def test_a_machine_without_cgroups_has_no_limit(tmp_path: Path) -> None:
    assert facts.memory_limit(tmp_path) == (None, "/proc/meminfo")


def test_this_machine_is_described() -> None:
    found = facts.gather()
    assert found.memory > 0
    assert found.cpus > 0
    assert found.usable_memory <= found.memory
    assert "localhost" not in found.hostnames
