"""Both sides of an upgrade put together: what the last `up` was given, and what is wanted now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pgstead.cli.wiring import Ground, Source, Wired, machine_of, read_manifest, survey, wired_on
from pgstead.errors import NotRunningError, UpgradeError, UsageError
from pgstead.host import state
from pgstead.host.upgrade_log import BEFORE, UpgradeFiles
from pgstead.host.upgrading import LocalUpgrade
from pgstead.model.upgrade import Release
from pgstead.workflows.upgrade import Side, Work

if TYPE_CHECKING:
    from pgstead.cli.console import Console
    from pgstead.manifest.document import Manifest
    from pgstead.model.host import ServerBuild
    from pgstead.model.upgrade import Upgrade


@dataclass(frozen=True)
class Standing:
    """The stead's place, and which version its state is of."""

    source: Source
    ground: Ground  # with the identity as it is stored
    log: UpgradeFiles

    @property
    def major(self) -> int:
        """The version that the state is of."""
        return self.ground.identity.major

    @property
    def pending(self) -> Upgrade | None:
        """An upgrade that was begun and has not ended."""
        return self.log.pending()

    def as_of(self, major: int) -> Ground:
        """Return the ground as it is for a version, whatever is stored."""
        return replace(self.ground, identity=replace(self.ground.identity, major=major))

    def applied(self) -> Source:
        """Return the manifest that the last `up` was given."""
        return Source.at(Path(self.ground.layout.applied), self.source.directory)

    def before(self) -> Source:
        """Return the manifest that the version before was brought up by."""
        path = Path(self.ground.layout.upgrade / BEFORE)
        if not path.is_file():
            raise UpgradeError(
                f"{path} is gone: it is not known what the stead was before",
                hint="the data directory of before is in server/, and can be started by hand",
            )
        return Source.at(path, self.source.directory)


def standing(given: str | None) -> Standing:
    """Look where the stead is, and of which version. Raises NotRunningError where none is."""
    source = read_manifest(given)
    manifest = source.manifest
    host = machine_of(manifest)
    layout = state.locate(source.directory, manifest.state or None, host)
    known = state.stored(layout)
    if known is None or not Path(layout.applied).exists():
        raise NotRunningError("there is no stead here yet", hint="`pgstead up` makes it")
    # refuses another's state as every command does
    state.identify(layout, manifest.name, known.major)
    return Standing(source, Ground(host, layout, known), UpgradeFiles(layout))


def side(source: Source, ground: Ground, console: Console) -> Wired:
    """Put one side together."""
    return wired_on(survey(source, ground=ground), console)


def side_of(wired: Wired) -> Side:
    """Return what the workflow is handed of a side."""
    return Side(wired.design, wired.ports)


def release(build: ServerBuild) -> Release:
    """Return one end of an upgrade."""
    return Release(build.major, build.version, build.bindir)


def work_between(old: Wired, new: Wired) -> Work:
    """Return what the workflow works with."""
    path = new.survey.source.path
    text = path.read_text(encoding="utf-8") if path is not None else ""
    host = LocalUpgrade(old.design, new.design, text)
    # in containers the agent's begins when who started this one hears that all is done
    return Work(host, host.log, followed=new.design.host.network is None)


def refuse_other_changes(here: Standing) -> None:
    """Raise UsageError where the manifest differs in more than the version from what is up."""
    found, wanted = here.applied().manifest, here.source.manifest
    if found.server.major > wanted.server.major:
        raise UsageError(
            f"there is no way down: the cluster is of PostgreSQL {found.server.major}, and"
            f" server.major is {wanted.server.major}",
            hint=f"set server.major = {found.server.major}; what was upgraded lately is taken back"
            " by `pgstead upgrade --back`",
        )
    if _but_the_version(found) != _but_the_version(wanted):
        raise UsageError(
            "the manifest differs in more than server.major from what is up",
            hint="one thing at a time: `pgstead up` with the other changes before, or afterwards",
        )


def _but_the_version(manifest: Manifest) -> dict[str, object]:
    told = manifest.model_dump()
    told["server"] = {k: v for k, v in told["server"].items() if k not in {"major", "bindir"}}
    # another version is another image
    told["containers"] = {
        k: v for k, v in told["containers"].items() if k not in {"image", "python"}
    }
    return told
