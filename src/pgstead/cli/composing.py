"""What Compose runs of a stead: which files make it, and where they lie."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgstead.cli.wiring import Source
    from pgstead.manifest.document import Manifest
    from pgstead.model.containers import Composition
    from pgstead.model.host import HostFacts

DIRECTORY = "containers"  # beside the manifest
BEFORE_UPGRADE = "compose.before-upgrade.yml"  # what the older version runs by, until all is over


@dataclass(frozen=True, slots=True)
class Rendered:
    """All that stands in the directory."""

    composition: Composition
    files: Mapping[str, str]
    trees: Mapping[str, Mapping[str, Path]]  # copied: directory -> target -> source
    requirements: tuple[str, ...]  # texts of what pip fetches
    python: str
    without: frozenset[Path]  # files that rows name: nothing of persons gets into an image

    def write(self, directory: Path, *, packages: bool = True) -> tuple[str, ...]:
        """Write what changed; return what that was. Raises NoNetworkError for the packages."""
        from pgstead.host import build_context

        build_context.claim(directory)
        changed = [*build_context.write(directory, self.files)]
        for name, trees in self.trees.items():
            if build_context.copy_trees(directory / name, trees, self.without):
                changed.append(f"{name}/")
        if packages:
            build_context.fetch_wheels(directory, self.requirements, self.python)
        return tuple(changed)


def rendered(source: Source, *, older: int | None = None) -> Rendered:
    """Return what a manifest becomes for Compose. Looks at the machine's figures alone.

    `older` is the major version that a cluster is upgraded from.
    """
    from pgstead.design import containers as designing
    from pgstead.host import build_context, container, facts
    from pgstead.host.backup_tools import BARMAN, S3
    from pgstead.model.containers import STEAD
    from pgstead.render import containers, dockerfiles, monitoring

    manifest = source.manifest
    designing.inside(manifest)  # refuses what containers cannot have
    machine = facts.gather(None)
    root = _root(source)
    place = posixpath.join(STEAD, source.directory.relative_to(root).as_posix()).removesuffix("/.")
    composition = _composition(manifest, machine, place, upgrades=older is not None)
    stages = dockerfiles.stages(manifest, _handed(composition), _sets(manifest), place, older)
    pins, python = _pins(source), manifest.containers.python
    sets = {each.name: each.pins for each in (BARMAN, S3)}
    files = {
        "Dockerfile": dockerfiles.text(stages),
        "machine.json": containers.machine(container.figures(machine)),
        "requirements.txt": build_context.for_python(pins, python),
        **{f"{name}.txt": build_context.for_python(text, python) for name, text in sets.items()},
        "pgstead": dockerfiles.LAUNCHER,
        **_stead(source),
    }
    trees = {"toolbox": build_context.own_package(), "application": _application(source, root)}
    everything = _tag((sorted(files.items()), build_context.digest(trees, _written(source))))
    # What holds no code of ours stays as it is when that changes: the server keeps running.
    tags = {n: _tag(t) if n in dockerfiles.APART else everything for n, t in stages.items()}
    files |= monitoring.files(designing.expected(manifest, machine, place))
    # Compose starts the profiles that this names; always there, or one would go on for ever.
    files[".env"] = f"COMPOSE_PROFILES={','.join(composition.profiles)}\n"
    files["compose.yml"] = containers.compose(composition, tags)
    return Rendered(
        composition=composition,
        files=files,
        trees=trees,
        requirements=(pins, *sets.values()),
        python=python,
        without=_written(source),
    )


def _composition(
    manifest: Manifest, machine: HostFacts, place: str, *, upgrades: bool
) -> Composition:
    from pgstead.design import containers, upgrade_container

    made = containers.composition(manifest, machine, place)
    return upgrade_container.added(made) if upgrades else made


def _stead(source: Source) -> dict[str, str]:
    """Return the manifest, and where the state lies."""
    from pgstead.model.containers import HOME

    return {
        "stead/pgstead.toml": _text(source),
        "stead/.pgstead/location": f"{HOME}\n",
        "stead/.pgstead/.gitignore": "*\n",  # as `up` would write it, and cannot there
    }


def _written(source: Source) -> frozenset[Path]:
    """Return the directories whose files applications write."""
    named = (entry.files for entry in source.manifest.databases if entry.files)
    return frozenset(Path(os.path.normpath(source.directory / name)) for name in named)


def _tag(inputs: object) -> str:
    return hashlib.sha256(repr(inputs).encode()).hexdigest()[:12]


def _sets(manifest: Manifest) -> dict[str, str]:
    """Return where programs beside us are looked for, in the container of the toolbox."""
    from pgstead.host.backup_tools import BARMAN, S3
    from pgstead.model.containers import TOOLCHAIN

    version = manifest.containers.python
    return {each.name: f"{TOOLCHAIN}/{each.name}/{each.tag(version)}" for each in (BARMAN, S3)}


def _handed(composition: Composition) -> tuple[str, ...]:
    from pgstead.model.containers import HANDED, HOME

    below = f"{HOME}/{HANDED}/"
    mounts = composition.container("provision").mounts
    return tuple(m.target.removeprefix(below) for m in mounts if m.target.startswith(below))


def _text(source: Source) -> str:
    assert source.path is not None
    return source.path.read_text(encoding="utf-8")


def _pins(source: Source) -> str:
    from pgstead.host import build_context

    named = source.manifest.containers.requirements
    if not named:
        return build_context.own_pins()
    return (source.directory / named).read_text(encoding="utf-8")


def _named(source: Source) -> set[Path]:
    """Return what the manifest imports or runs; a manifest may lie deep in what it names."""
    found: set[Path] = set()
    for entry in source.manifest.databases:
        service = entry.service.application if entry.service else ""
        for target in (service, entry.models, entry.sample, entry.load):
            top = target.partition(":")[0].partition(".")[0]
            if top:
                place = source.directory / entry.imported_from / top
                found.add(place if place.is_dir() else place.with_suffix(".py"))
        if entry.migrations:
            found.add(source.directory / entry.migrations)
    return {Path(os.path.normpath(place)) for place in found}


def _root(source: Source) -> Path:
    """Return the lowest directory that holds the manifest and all that it names."""
    places = [place.parent for place in _named(source) if place != source.directory]
    return Path(os.path.commonpath([source.directory, *places]))


def _application(source: Source, root: Path) -> dict[str, Path]:
    """Return what is copied, by its place below the root."""
    found = {place.relative_to(root).as_posix(): place for place in _named(source)}
    outer = [name for name in found if not _within(name, found)]
    return {name: found[name] for name in outer}


def _within(name: str, others: Mapping[str, Path]) -> bool:
    return any(name != other and (other == "." or name.startswith(f"{other}/")) for other in others)


def directory_of(manifest: Manifest, source: Source, given: str | None) -> Path:
    """Return where the files lie: as told, or beside the manifest."""
    return Path(given).resolve() if given else source.directory / DIRECTORY
