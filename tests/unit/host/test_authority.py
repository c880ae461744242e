"""The CA's rotation: how far it is stands in the files, whatever was killed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from pgstead.host.authority import CaFiles
from pgstead.host.clock import now
from pgstead.host.files import LocalFiles
from pgstead.host.minting import Mint
from pgstead.model.layout import Layout
from pgstead.model.rotation import CaStage


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "tls").mkdir()
    return Layout(PurePosixPath(tmp_path), PurePosixPath(tmp_path))


@pytest.fixture
def ca(layout: Layout) -> CaFiles:
    made = CaFiles(layout, LocalFiles(layout.state), Mint(now))
    made.make()
    return made


def stage(ca: CaFiles) -> CaStage:
    return ca.look(provided=False).stage


def test_a_ca_is_trusted_before_it_signs_and_signs_before_it_is_alone(ca: CaFiles) -> None:
    (old,) = ca.look(provided=False).trusted
    ca.announce()
    announced = ca.look(provided=False)
    assert (announced.stage, announced.trusted[0]) == (CaStage.ANNOUNCED, old)
    new = announced.trusted[1]
    ca.announce()  # again: nothing more
    assert ca.look(provided=False).trusted == (old, new)
    ca.switch()
    signing = ca.look(provided=False)
    assert (signing.stage, signing.trusted) == (CaStage.SIGNING, (new, old))
    ca.switch()  # again: nothing
    ca.retire()
    assert ca.look(provided=False).trusted == (new,)
    assert stage(ca) is CaStage.SETTLED


def test_a_ca_that_nobody_trusts_yet_was_not_announced(ca: CaFiles, layout: Layout) -> None:
    before = Path(layout.ca).read_text()
    ca.announce()
    Path(layout.ca).write_text(before)  # killed before it was written
    assert stage(ca) is CaStage.SETTLED
    ca.announce()
    assert stage(ca) is CaStage.ANNOUNCED


@pytest.mark.parametrize("written", ["key", "certificate"])
def test_a_switch_that_was_killed_halfway_is_finished_and_not_begun_anew(
    ca: CaFiles, layout: Layout, written: str
) -> None:
    ca.announce()
    old, new = ca.look(provided=False).trusted
    coming = Path(layout.tls, "next")
    if written == "key":
        Path(layout.tls, "ca.key").write_text((coming / "ca.key").read_text())
    else:
        first = Path(layout.ca).read_text()
        Path(layout.ca).write_text((coming / "ca.crt").read_text() + first)
    ca.make()  # what `up` does about a key that does not match
    assert ca.look(provided=False).trusted == (new, old)
    assert not coming.exists()


def test_another_ca_leaves_the_one_before_trusted(ca: CaFiles) -> None:
    (old,) = ca.look(provided=False).trusted
    ca.make()
    assert ca.look(provided=False).trusted[1:] == (old,)
