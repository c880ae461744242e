"""What `up --target compose` refuses before anything is touched, by what an engine tells it.

The program beside the test says what Docker's says; real ones are tried in tests/live/containers.
"""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pgstead.cli import composed_up
from pgstead.cli.console import Console
from pgstead.cli.elsewhere import Line
from pgstead.cli.invocation import Invocation
from pgstead.cli.wiring import Source
from pgstead.design import containers as designing
from pgstead.errors import (
    BudgetError,
    BusyError,
    HostError,
    MissingEngineError,
    NoNetworkError,
    NotAllowedError,
    PortTakenError,
    SteadError,
    UsageError,
)
from pgstead.host.compose_engine import ComposeEngine
from pgstead.manifest.load import parse
from pgstead.model.containers import Composition
from pgstead.model.operation import Impact
from tests.free_ports import free_ports
from tests.unit.design import world

DOCKER = """#!/bin/sh
case "$*" in
"compose version --short") echo 2.40.3 ;;
{cases}
*) exit 9 ;;
esac
"""
CONFIG = {
    "services": {
        "postgres": {"image": "x-server:1", "build": {}},
        "pgbouncer": {"image": "x-pooler:1", "build": {}},
    }
}


def engine(directory: Path, **said: str) -> ComposeEngine:
    """Return an engine that answers to commands that hold these words; `_` stands for a space."""
    cases = [f'*"{words.replace("_", " ")}"*) {does} ;;' for words, does in said.items()]
    program = directory / "docker"
    program.write_text(DOCKER.format(cases="\n".join(cases)))
    program.chmod(0o755)
    return ComposeEngine((str(program), "compose"), directory)


def row(service: str, configured: str, image: str, **more: object) -> str:
    """Return a line of `ps`."""
    names = (f"com.docker.compose.{n}" for n in ("config-hash", "image"))
    labels = ",".join(f"{n}={v}" for n, v in zip(names, (configured, image), strict=True))
    told = {"Service": service, "State": "running", "Health": "healthy", "Labels": labels}
    return json.dumps({**told, **more})


def composed(**changed: int) -> Composition:
    """Return the containers of a small stead, with other ports."""
    found = designing.composition(parse(world.text()), world.host())
    ports = iter(free_ports(len(found.containers)))
    return replace(
        found,
        containers=tuple(
            replace(
                container,
                published=tuple(replace(p, port=next(ports)) for p in container.published),
                limits=replace(container.limits, **changed),
            )
            for container in found.containers
            if not container.profile
        ),
    )


def test_an_engine_that_does_not_answer_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingEngineError, match="Cannot connect to the Docker daemon"):
        engine(tmp_path, ls="echo Cannot connect to the Docker daemon >&2; exit 1").must_answer()


def test_a_machine_with_less_memory_than_the_design_reckons_with_is_refused(
    tmp_path: Path,
) -> None:
    small = engine(tmp_path, info="echo 1073741824 64", ps="true")
    with pytest.raises(BudgetError, match=r"gives postgres .* has 1\.0 GB") as caught:
        composed_up.refuse(small, composed())
    assert caught.value.key == "server.memory"


def test_a_machine_with_fewer_processors_than_the_design_reckons_with_is_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(BudgetError, match="has 1"):
        composed_up.refuse(engine(tmp_path, info=f"echo {2**50} 1", ps="true"), composed())


def test_a_port_that_is_taken_is_said_with_the_container_that_wants_it(tmp_path: Path) -> None:
    wanted = composed()
    port = wanted.container("pgbouncer").published[0].port
    enough = engine(tmp_path, info=f"echo {2**50} 999", ps="true")
    composed_up.refuse(enough, wanted)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(PortTakenError, match=rf"port {port} of pgbouncer is taken by .*pid"):
            composed_up.refuse(enough, wanted)
        mine = row("pgbouncer", "", "", Publishers=[{"PublishedPort": port}])
        composed_up.refuse(engine(tmp_path, info=f"echo {2**50} 999", ps=f"echo '{mine}'"), wanted)


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ("dial tcp: lookup registry: no such host", NoNetworkError, "network"),
        ("manifest for debian@sha256:00 not found: manifest unknown", HostError, "image"),
        ("E: Unable to locate package pgaudit", HostError, "which step failed"),
    ],
)
def test_an_image_that_cannot_be_had_is_told_with_the_reason(
    tmp_path: Path, said: str, kind: type[HostError], hint: str
) -> None:
    answers = {"config": f"echo '{json.dumps(CONFIG)}'", "inspect": "exit 1"}
    failing = engine(tmp_path, **answers, build=f"echo '{said}' >&2; exit 17")
    with pytest.raises(HostError) as caught:
        failing.build()
    assert type(caught.value) is kind
    assert "nothing that runs was touched" in caught.value.hint
    assert hint in caught.value.hint


def test_what_is_there_under_its_tag_is_not_built_again(tmp_path: Path) -> None:
    answers = {"config": f"echo '{json.dumps(CONFIG)}'", "inspect": "echo sha256:1"}
    engine(tmp_path, **answers, build="exit 17").build()


@pytest.mark.parametrize(
    ("configured", "image", "outdated"),
    [("c1", "sha256:i1", False), ("c1", "i1", False), ("c0", "i1", True), ("c1", "i0", True)],
)
def test_who_runs_by_another_configuration_or_image_is_outdated(
    tmp_path: Path, configured: str, image: str, outdated: bool
) -> None:
    rows = f"echo '{row('postgres', configured, image)}'; echo '{row('pgbouncer', 'c2', 'i1')}'"
    told = {
        "hash": "echo postgres c1; echo pgbouncer c2",
        "config": f"echo '{json.dumps(CONFIG)}'",
        "inspect": "echo sha256:i1",
        "ps": rows,
    }
    found = engine(tmp_path, **told).outdated()
    assert found == (frozenset({"postgres"}) if outdated else frozenset())


def test_one_that_ends_and_begins_anew_all_the_time_is_not_kept_by_what_it_runs_by_no_more(
    tmp_path: Path,
) -> None:
    outdated = row("postgres", "c0", "i1")
    gone = row("postgres", "c0", "i1", State="exited")
    looked = tmp_path / "looked"
    flapping = f"[ -e {looked} ] && echo '{gone}' || echo '{outdated}'; touch {looked}"
    config = f"echo '{json.dumps(CONFIG)}'"
    told = {"hash": "echo postgres c1", "config": config, "ps": flapping}
    assert composed_up._kept(engine(tmp_path, **told)) == frozenset()


def test_a_look_that_did_not_say_that_all_is_well_is_a_refusal(tmp_path: Path) -> None:
    composed_up._must_pass("prepare", engine(tmp_path, run="echo passed"), Impact.RELOAD)
    with pytest.raises(SteadError, match="the look at what runs"):  # podman lost the status
        composed_up._must_pass("prepare", engine(tmp_path, run="true"), Impact.RELOAD)


def test_a_door_is_made_anew_by_consent_alone() -> None:
    composed_up.must_be_allowed(frozenset(), Impact.RELOAD)
    composed_up.must_be_allowed(frozenset({"postgres"}), Impact.RESTART)
    with pytest.raises(NotAllowedError, match="restarts pgbouncer and postgres"):
        composed_up.must_be_allowed(frozenset({"postgres", "pgbouncer"}), Impact.RELOAD)


def test_an_impact_that_is_none_is_a_wrong_word(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="everything"):
        composed_up.up(Line("compose", None, ("up", "--allow=everything")), tmp_path)


def test_clients_that_do_not_come_to_rest_leave_the_server_as_it_is(tmp_path: Path) -> None:
    busy = "echo 'error: after 10 s a transaction has not ended yet' >&2; exit 1"
    with pytest.raises(BusyError, match="has not ended yet"):  # noqa: SIM117 - what is tried is the inner one
        with composed_up.clients_waiting(engine(tmp_path, hold=busy)):
            pytest.fail("nobody waits")


def test_how_long_clients_waited_is_told_when_they_go_on(tmp_path: Path) -> None:
    holder = engine(tmp_path, hold='echo held; read -r word; [ "$word" = done ] && echo 1.250')
    with composed_up.clients_waiting(holder) as stall:
        assert stall.seconds is None
    assert stall.seconds == 1.25


def _keeper(directory: Path) -> tuple[subprocess.Popen[bytes], Path]:
    from pgstead.host import guard

    ready, resumed = directory / "postmaster.pid", directory / "resumed"
    ready.write_text("\n" * 7 + "ready   \n")
    script = guard.shell_file("hold.sh")
    words = ["/bin/sh", "-c", script, "hold.sh", str(ready), "touch", str(resumed)]
    return subprocess.Popen(words, stdin=subprocess.PIPE), resumed


def test_clients_go_on_where_the_command_that_holds_them_is_killed(tmp_path: Path) -> None:
    keeper, resumed = _keeper(tmp_path)
    keeper.communicate(b"")
    assert resumed.exists()


def test_a_command_that_is_done_needs_nobody_to_resume_for_it(tmp_path: Path) -> None:
    keeper, resumed = _keeper(tmp_path)
    keeper.communicate(b"done\n")
    assert (keeper.returncode, resumed.exists()) == (0, False)


@pytest.mark.parametrize(("image", "left_out"), [("i1", True), ("i0", False)])
def test_a_door_that_runs_as_it_is_wanted_is_left_as_it_is(
    tmp_path: Path, image: str, left_out: bool
) -> None:
    said = tmp_path / "said"
    told = {
        "detach": f'echo "$*" >>{said}',
        "rm_": f'echo "$*" >>{said}',
        "services": "echo agent postgres",
        "hash": "echo postgres c1",
        "config": f"echo '{json.dumps(CONFIG)}'",
        "inspect": "echo sha256:i1",
        "ps": f"echo '{row('postgres', 'c1', image)}'",
    }
    console = Console(Invocation(quiet=True))
    composed_up.start(engine(tmp_path, **told), console, Impact.RELOAD)
    removed = [line.split()[5:] for line in said.read_text().splitlines() if " rm " in line]
    assert removed == ([["--force", "agent"]] if left_out else [])
    assert said.read_text().rstrip().endswith("up --detach --remove-orphans --no-recreate")


def test_who_is_no_longer_asked_to_watch_is_removed(tmp_path: Path) -> None:
    # Compose tells the services of all profiles where it is asked for all.
    told = {
        "rm_": f'echo "$*" >>{tmp_path}/said',
        "services": 'case "$COMPOSE_PROFILES" in *grafana*) echo postgres grafana ;;'
        " *) echo postgres ;; esac",
        "ps": f"echo '{row('postgres', 'c1', '')}'; echo '{row('grafana', 'c2', '')}'",
    }
    engine(tmp_path, **told).remove_unasked()
    assert (tmp_path / "said").read_text().split()[-4:] == ["rm", "--stop", "--force", "grafana"]


def test_down_ends_the_containers_of_all_profiles_and_of_killed_commands(tmp_path: Path) -> None:
    engine(tmp_path, down=f'echo "$COMPOSE_PROFILES $*" >{tmp_path}/said').down("--volumes")
    told = (tmp_path / "said").read_text()
    assert told.startswith("collector,monitoring,grafana,store,upgrade ")
    assert told.endswith("down --remove-orphans --volumes\n")


NAMED = '\n[tls]\nca = "ca"\ncertificate = "crt"\nkey = "key"\n'


def _source(directory: Path) -> Source:
    for name in ("ca", "crt", "key"):
        (directory / name).write_text(f"{name}, and nobody's business\n")
    return Source(parse(world.text(more=NAMED)), directory, directory / "pgstead.toml")


def test_what_the_manifest_names_goes_by_standard_input_and_no_argument(tmp_path: Path) -> None:
    heard, argued = tmp_path / "heard", tmp_path / "argued"
    said = {"provision_bring": f'echo "$*" >{argued}; cat >{heard}'}
    composed_up.bring(engine(tmp_path, **said), _source(tmp_path))
    assert set(json.loads(heard.read_text())) == {"tls.ca", "tls.certificate", "tls.key"}
    assert "business" in heard.read_text()
    assert "business" not in argued.read_text()


def test_nothing_is_run_where_nothing_is_named(tmp_path: Path) -> None:
    source = replace(_source(tmp_path), manifest=parse(world.text()))
    composed_up.bring(engine(tmp_path), source)


def test_files_that_are_not_taken_are_said(tmp_path: Path) -> None:
    refusing = engine(tmp_path, provision_bring="echo error: no room >&2; exit 1")
    with pytest.raises(SteadError, match="no room"):
        composed_up.bring(refusing, _source(tmp_path))
