"""Units of systemd: what a design becomes, as text; systemd's own verdict is in tests/host."""

from __future__ import annotations

import configparser
from dataclasses import replace

import pytest

from pgstead.model.design import Design
from pgstead.model.host import Interpreter
from pgstead.render import unit_syntax
from pgstead.render.host_files import units
from tests.unit.design.world import build, composed, text

SERVER = "pgstead-shop-postgres.service"
PYTHON = Interpreter("/venv/bin/python", ("/venv", "/usr"))
SERVICE = """
[databases.service]
application = "shop.api:create_app"
port = 5210
"""


class _Unit(configparser.RawConfigParser):
    """A unit; of a key that stands there twice the last one."""

    def __init__(self, said: str) -> None:
        super().__init__(strict=False, interpolation=None, delimiters=("=",))
        self.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
        self.read_string(said)


def rendered(design: Design) -> dict[str, _Unit]:
    """Return the units by their names."""
    found = units(design, PYTHON).files
    inside = [f for f in found if f.path.parent.name == "system"]
    return {file.path.name: _Unit(file.text) for file in inside}


@pytest.fixture(scope="module")
def design() -> Design:
    """Return a stead with a service."""
    return composed(text(database=SERVICE))


def test_each_program_has_a_unit_and_the_target_wants_them_all(design: Design) -> None:
    made = rendered(design)
    services = set(units(design, PYTHON).services.values())
    assert {p.name for p in design.programs} == set(units(design, PYTHON).services)
    wanted = set(made["pgstead-shop.target"]["Unit"]["Wants"].split())
    assert services <= wanted
    assert wanted <= set(made)
    assert {n for n in wanted if n.endswith(".timer")} == {
        "pgstead-shop-drift.timer",
        "pgstead-shop-prove.timer",
    }


def test_who_needs_another_starts_after_it_and_so_stops_before_it(design: Design) -> None:
    made = rendered(design)
    after = made["pgstead-shop-api-shop.service"]["Unit"]["After"].split()
    assert {"pgstead-shop-postgres.service", "pgstead-shop-pgbouncer.service"} <= set(after)
    server = made["pgstead-shop-postgres.service"]["Unit"]["After"]
    assert server == "network.target"


def test_a_stead_that_listens_beyond_loopback_waits_for_the_network() -> None:
    told = '\n[networks]\nallow = ["10.1.0.0/16"]\nlisten = ["10.1.2.3"]\n'
    made = rendered(composed(text(more=told)))
    assert "network-online.target" in made["pgstead-shop-postgres.service"]["Unit"]["After"]
    allowed = made["pgstead-shop-postgres.service"]["Service"]["IPAddressAllow"]
    assert allowed == "localhost 10.1.0.0/16"


def test_the_server_stops_fast_and_what_it_leaves_is_ended(design: Design) -> None:
    service = rendered(design)["pgstead-shop-postgres.service"]["Service"]
    assert (service["KillSignal"], service["KillMode"]) == ("SIGINT", "mixed")
    assert (service["Restart"], service["User"]) == ("always", "postgres")


def test_a_build_that_tells_systemd_when_it_is_ready_is_waited_for() -> None:
    telling = composed(binaries=replace(build(), notifies=True))
    assert rendered(telling)["pgstead-shop-postgres.service"]["Service"]["Type"] == "notify"
    assert rendered(composed())["pgstead-shop-postgres.service"]["Service"]["Type"] == "exec"


def test_a_service_begins_as_root_and_becomes_its_user(design: Design) -> None:
    service = rendered(design)["pgstead-shop-api-shop.service"]["Service"]
    assert "User" not in service
    assert service["ExecStart"].endswith("--user nobody")


def test_a_server_that_compiles_expressions_may_write_code() -> None:
    compiler = replace(build(), modules=build().modules | {"llvmjit"})
    may = {
        told: "MemoryDenyWriteExecute"
        not in rendered(composed(text(more=more), binaries=compiler))[SERVER]["Service"]
        for told, more in (("jit", ""), ("no jit", '[server.settings]\njit = "off"'))
    }
    assert may == {"jit": True, "no jit": False}
    assert "MemoryDenyWriteExecute" in rendered(composed())[SERVER]["Service"]


def test_a_stead_below_a_home_directory_sees_it() -> None:
    there = composed(binaries=replace(build(), bindir="/run/user/7/pg/bin"))
    assert rendered(composed())[SERVER]["Service"]["ProtectHome"] == "yes"
    assert rendered(there)[SERVER]["Service"]["ProtectHome"] == "read-only"


@pytest.mark.parametrize(
    ("name", "written"),
    [("shop", "shop"), ("a b", "a\\x20b"), ("ö", "\\xc3\\xb6"), ("50%/a", "50\\x25\\x2fa")],
)
def test_names_are_written_as_systemd_escapes_them(name: str, written: str) -> None:
    assert unit_syntax.name(name) == written


def test_a_name_of_any_length_fits_a_file_name() -> None:
    long = [unit_syntax.name("pgstead", c * 63, "ö" * 31) for c in "ab"]
    assert long[0] != long[1]
    assert all(len(f"{name}.service") <= 255 for name in long)


def test_nothing_of_a_command_is_expanded() -> None:
    written = unit_syntax.command(["/bin/a b", "50%", "$HOME", 'say "x"', "a\\b", "a;b", ""])
    assert written == '"/bin/a b" "50%%" "$$HOME" "say \\"x\\"" "a\\\\b" "a;b" ""'


def test_no_secret_is_in_a_rendered_file(design: Design) -> None:
    for file in units(design, PYTHON).files:
        assert "PASSWORD" not in file.text.upper().replace("PASSWORDCHECK", "")
