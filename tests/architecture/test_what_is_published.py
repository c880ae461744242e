"""What must not be in a file that users get."""

from __future__ import annotations

import re

from tests.architecture.tracked import name_of, text_of, tracked

# Put together from halves, so that this file does not find itself.
REGISTRY_HOSTS = tuple(
    f"{host}.{domain}"
    for host, domain in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("deb.debian", "org"),
        ("security.debian", "org"),
        ("snapshot.debian", "org"),
        ("ftp.debian", "org"),
        ("archive.ubuntu", "com"),
        ("registry.npmjs", "org"),
    )
)
MACHINE_PATH = re.compile(r"/(?:work|farm|root|home)/[a-z.]")
CONFLICT = re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE)
PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n[A-Za-z0-9+/]{20}")


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name_of(path)}:{text_of(path).count(chr(10), 0, match.start()) + 1} {match.group()!r}"
        for path in tracked()
        for match in [pattern.search(text_of(path))]
        if match
    ]


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the user's configuration; what they are is a hash."""
    assert found(re.compile("|".join(map(re.escape, REGISTRY_HOSTS)))) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert found(MACHINE_PATH) == []


def test_no_file_holds_a_private_key() -> None:
    assert found(PRIVATE_KEY) == []


def test_no_file_holds_a_conflict() -> None:
    assert found(CONFLICT) == []


def test_no_file_is_large() -> None:
    """Binaries are fetched by version and hash, never kept here."""
    large = [name_of(path) for path in tracked() if path.stat().st_size > 512 * 1024]
    assert large == []
