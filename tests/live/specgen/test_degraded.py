"""A person's reads while the database is down: as long as their session and membership are good."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest

from tests.live.answers import made, refused
from tests.live.scratch import Scratch
from tests.live.service import (
    SPECGEN,
    Running,
    down,
    refused_for_now,
    serving_system,
    told_again,
)
from tests.live.specgen.people import PASSWORD, Somebody
from tests.waiting import until


@pytest.fixture(scope="module")
def service(scratch: Scratch) -> Iterator[Running]:
    """Share one service: what it remembers is of other people each time."""
    with serving_system(SPECGEN, scratch) as running:
        yield running


@pytest.fixture(autouse=True)
def up(service: Running) -> None:
    """Begin when the service has found its database again."""
    until(lambda: service.client.get("/health/ready").status_code == 200, "it is back")


def test_members_get_what_they_have_read_and_nobody_else_does(
    scratch: Scratch, ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    bob, eve = make_person(), make_person()
    ada.invite(bob, "viewer")
    ada.make("projects", name="P", project_type="greenfield")
    path = ada.path("projects")
    live = made(ada.client.get(path), 200)
    refused(eve.client.get(path), 404)
    with down(scratch):
        for _ in range(4):
            assert told_again(ada.client.get(path)) == live
            refused_for_now(eve.client.get(path))
            refused_for_now(bob.client.get(path))  # a member, who has not read it
            # personal, and who may come in: not marked
            refused_for_now(ada.client.get("/users/me"))
            refused_for_now(ada.client.get("/sessions"))
            refused_for_now(ada.client.get(ada.path("members")))


def sign_out(_ada: Somebody, bob: Somebody, _membership: str) -> None:
    assert bob.client.delete("/sessions/current").status_code == 204


def change_the_password_elsewhere(_ada: Somebody, bob: Somebody, _membership: str) -> None:
    other = Somebody.signed_in(bob.client, bob.email)
    body = {"password": PASSWORD, "new_password": f"{PASSWORD}!"}
    assert other.client.post("/users/me/password", json=body).status_code == 204
    other.client.close()


def let_go(ada: Somebody, _bob: Somebody, membership: str) -> None:
    assert ada.client.delete(ada.path(f"members/{membership}")).status_code == 204


def switch_off(ada: Somebody, _bob: Somebody, membership: str) -> None:
    made(ada.client.patch(ada.path(f"members/{membership}"), json={"is_active": False}), 200)


def delete_the_workspace(ada: Somebody, _bob: Somebody, _membership: str) -> None:
    assert ada.client.delete(f"/workspaces/{ada.workspace['id']}").status_code == 204


def test_who_may_not_any_more_gets_nothing_that_they_had_read(
    scratch: Scratch, make_person: Callable[[], Somebody]
) -> None:
    asked: dict[str, tuple[Somebody, str]] = {}
    for end in (sign_out, change_the_password_elsewhere, let_go, switch_off, delete_the_workspace):
        ada, bob = make_person(), make_person()
        ada.make_workspace()
        membership = ada.invite(bob, "viewer")["id"]
        path = ada.path("projects")
        made(bob.client.get(path), 200)
        end(ada, bob, membership)
        asked[end.__name__] = bob, path
    with down(scratch):
        told = {name: bob.client.get(path).status_code for name, (bob, path) in asked.items()}
    assert told == dict.fromkeys(asked, 503)


def test_somebody_s_sign_out_takes_nothing_from_others(
    scratch: Scratch, ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    bob = make_person()
    live = made(ada.client.get(ada.path("projects")), 200)
    assert bob.client.delete("/sessions/current").status_code == 204
    with down(scratch):
        assert told_again(ada.client.get(ada.path("projects"))) == live


def read_in_a_session_that_ends_soon(scratch: Scratch, person: Somebody, path: str) -> None:
    """Read before its end; where that came first, give it a longer life."""
    for seconds in (4, 16, 64):
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        with scratch.admin("specgen") as admin:
            admin.execute(
                "UPDATE user_sessions SET expires_at = %s WHERE user_id = %s", [end, person.id]
            )
        answer = person.client.get(path)
        if answer.status_code == 200 or dt.datetime.now(dt.UTC) < end:
            break
    made(answer, 200)


def test_a_session_s_end_is_its_answers_end(
    scratch: Scratch, ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    bob = make_person()
    ada.invite(bob, "viewer")
    path = ada.path("projects")
    made(bob.client.get(path), 200)
    read_in_a_session_that_ends_soon(scratch, ada, path)
    with down(scratch):
        until(lambda: ada.client.get(path).status_code == 503, "the session's end")
        told_again(bob.client.get(path))
