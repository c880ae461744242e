"""Which shared libraries a native program needs, and which of them this machine lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgstead.host import programs

_LINE = re.compile(r"^\s*(?P<name>\S+)(?: => (?P<where>not found|/.*?))?(?: \(0x[0-9a-f]+\))?\s*$")

# Debian 12 and 13 (and the Ubuntu releases beside them) differ by the t64 suffix; apt knows both
# names, because the newer package provides the older one.
_PACKAGES = {
    "libcares.so.2": "libc-ares2",
    "libcom_err.so.2": "libcom-err2",
    "libcrypto.so.3": "libssl3",
    "libevent-2.1.so.7": "libevent-2.1-7",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "libicudata.so.72": "libicu72",
    "libicuuc.so.72": "libicu72",
    "libk5crypto.so.3": "libk5crypto3",
    "libkeyutils.so.1": "libkeyutils1",
    "libkrb5.so.3": "libkrb5-3",
    "libkrb5support.so.0": "libkrb5support0",
    "libldap-2.5.so.0": "libldap-2.5-0",
    "libldap.so.2": "libldap2",
    "liblz4.so.1": "liblz4-1",
    "liblzma.so.5": "liblzma5",
    "libossp-uuid.so.16": "libossp-uuid16",
    "libpam.so.0": "libpam0g",
    "libreadline.so.8": "libreadline8",
    "libssl.so.3": "libssl3",
    "libstdc++.so.6": "libstdc++6",
    "libsystemd.so.0": "libsystemd0",
    "liburing.so.2": "liburing2",
    "libxml2.so.2": "libxml2",
    "libxslt.so.1": "libxslt1.1",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}


@dataclass(frozen=True, slots=True)
class Linkage:
    """The libraries of a program: what was found, and what was not."""

    found: frozenset[str]
    missing: tuple[str, ...]

    def has(self, stem: str) -> bool:
        """Say whether a library of that stem ("libssl") is linked, found or not."""
        return any(name.startswith(f"{stem}.so") for name in (*self.found, *self.missing))


def package(library: str) -> str | None:
    """Return the Debian package that brings a library, where we know it."""
    return _PACKAGES.get(library)


def packages(libraries: Iterable[str]) -> tuple[str, ...]:
    """Return the Debian packages of some libraries, those that are known."""
    return tuple(sorted({name for library in libraries if (name := package(library))}))


def linkage(paths: Sequence[str], *, library_path: str = "", user: str | None = None) -> Linkage:
    """Ask the dynamic loader (ldd(1)) about programs that we trust; it starts their loader.

    Without ldd (musl, macOS) nothing counts as missing: the program's own start tells.
    """
    extra = {"LD_LIBRARY_PATH": library_path} if library_path else None
    outcome = programs.run(["ldd", *paths], user=user, environment=extra)
    found: set[str] = set()
    missing: set[str] = set()
    for line in outcome.out.splitlines():
        match = _LINE.match(line)
        if match is None or line.endswith(":"):
            continue
        (missing if match["where"] == "not found" else found).add(match["name"])
    return Linkage(frozenset(found), tuple(sorted(missing)))
