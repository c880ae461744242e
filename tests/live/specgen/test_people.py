"""Accounts of specgen: opened, signed in to, with a second factor, seen by nobody else."""

from __future__ import annotations

import time
import uuid
from base64 import b32decode
from collections.abc import Callable

import httpx
import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.live.answers import made, refused
from tests.live.scratch import Scratch
from tests.live.specgen.people import PASSWORD, Somebody


def code(secret: str, step: int = 0) -> str:
    """Return what an authenticator shows now, or some steps later.

    One of the step before is taken by the server until this one ends: time for that is left.
    """
    while step < 0 and time.time() % 30 > 20:
        time.sleep(0.5)
    totp = TOTP(b32decode(secret), 6, SHA1(), 30)
    return totp.generate(int(time.time()) + 30 * step).decode()


def test_an_account_is_opened_changed_and_deleted(api: httpx.Client) -> None:
    email = f"{uuid.uuid4().hex}@Example.COM"
    user = made(api.post("/users", json={"email": email, "password": PASSWORD}))
    assert user["email"] == email.lower()
    assert not [name for name in user if "password" in name or "secret" in name]
    ada = Somebody.signed_in(api, email)
    changed = made(ada.client.patch("/users/me", json={"full_name": "Ada"}), 200)
    assert changed["full_name"] == "Ada"
    assert changed["last_login_at"] is not None
    assert ada.client.delete("/users/me").status_code == 204
    refused(ada.client.get("/users/me"), 401)
    ada.client.close()
    refused(api.post("/sessions", json={"email": email, "password": PASSWORD}), 401)


def test_passwords_are_stored_as_argon2id_only(ada: Somebody, scratch: Scratch) -> None:
    with scratch.admin("specgen") as admin:
        row = admin.execute("SELECT u::text FROM users u WHERE id = %s", [ada.id]).fetchone()
    assert row is not None
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in row[0]
    assert PASSWORD not in row[0]


@pytest.mark.parametrize(
    "body",
    [
        {"email": "ada@example.com"},
        {"email": "ada@example.com", "password": "short"},
        {"email": "ada@example.com", "password": "x" * 257},
        {"email": "ada@example.com", "password": PASSWORD, "is_verified": True},
    ],
)
def test_an_account_that_cannot_be_is_refused(api: httpx.Client, body: dict[str, str]) -> None:
    assert refused(api.post("/users", json=body), 422)["errors"]


def test_an_address_that_is_none_or_taken_is_refused(api: httpx.Client, ada: Somebody) -> None:
    problem = refused(api.post("/users", json={"email": ada.email, "password": PASSWORD}), 409)
    assert problem["constraint"] == "users_email_key"
    problem = refused(api.post("/users", json={"email": "no address", "password": PASSWORD}), 422)
    assert problem["constraint"] == "users_email_check"


@pytest.mark.parametrize("wrong", ["password", "email"])
def test_wrong_credentials_are_all_refused_the_same_way(
    api: httpx.Client, ada: Somebody, wrong: str
) -> None:
    body = {"email": ada.email, "password": PASSWORD}
    body[wrong] = "nobody@example.com" if wrong == "email" else "wrong password"
    problem = refused(api.post("/sessions", json=body), 401)
    assert problem["detail"] == "address, password or code is wrong"


def test_a_login_that_failed_stands_in_the_audit_log(api: httpx.Client, ada: Somebody) -> None:
    refused(api.post("/sessions", json={"email": ada.email, "password": "wrong password"}), 401)
    # of the person, in no workspace: the person's own session would show it, a workspace not
    listed = ada.client.get(ada.path("audit-logs")).json()
    assert {entry["action"] for entry in listed["audit_logs"]} == {"workspace_create"}


NOBODY = uuid.UUID(int=0)


@pytest.mark.parametrize(
    "header", [None, "Bearer x", f"Bearer sgn.{NOBODY}.{'x' * 43}", "Bearer sgn.1.2"]
)
def test_nobody_is_signed_in_without_a_session(api: httpx.Client, header: str | None) -> None:
    answer = api.get("/users/me", headers={"Authorization": header} if header else {})
    refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_with_the_name_of_another_person_opens_nothing(
    api: httpx.Client, ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    secret = ada.client.headers["authorization"].rpartition(".")[2]
    forged = f"Bearer sgn.{make_person().id}.{secret}"
    refused(api.get("/users/me", headers={"Authorization": forged}), 401)


def test_a_session_ends_by_signing_out_and_by_its_owner_alone(
    api: httpx.Client, ada: Somebody, make_person: Callable[[], Somebody]
) -> None:
    second = Somebody.signed_in(api, ada.email)
    sessions = made(ada.client.get("/sessions"), 200)
    assert sessions["total"] == 2
    key = sessions["sessions"][0]["id"]
    refused(make_person().client.delete(f"/sessions/{key}"), 404)
    assert second.client.delete("/sessions/current").status_code == 204
    refused(second.client.get("/users/me"), 401)
    second.client.close()


def test_a_changed_password_ends_all_other_sessions(api: httpx.Client, ada: Somebody) -> None:
    second = Somebody.signed_in(api, ada.email)
    body = {"password": "wrong", "new_password": "another long password"}
    refused(ada.client.post("/users/me/password", json=body), 403)
    answer = ada.client.post("/users/me/password", json={**body, "password": PASSWORD})
    assert answer.status_code == 204
    made(ada.client.get("/users/me"), 200)
    refused(second.client.get("/users/me"), 401)
    refused(api.post("/sessions", json={"email": ada.email, "password": PASSWORD}), 401)
    second.client.close()


def test_a_second_factor_is_asked_for_and_no_code_is_taken_twice(
    api: httpx.Client, ada: Somebody
) -> None:
    secret = made(ada.client.post("/users/me/second-factor"))["secret"]
    refused(ada.client.post("/users/me/second-factor/confirm", json={"code": "000000"}), 403)
    body = {"code": code(secret, -1)}
    assert ada.client.post("/users/me/second-factor/confirm", json=body).status_code == 204
    refused(ada.client.post("/users/me/second-factor"), 409)
    credentials = {"email": ada.email, "password": PASSWORD}
    refused(api.post("/sessions", json=credentials), 401)
    refused(api.post("/sessions", json={**credentials, "code": "000000"}), 401)
    now = code(secret)
    made(api.post("/sessions", json={**credentials, "code": now}))
    refused(api.post("/sessions", json={**credentials, "code": now}), 401)
    last = {"code": code(secret, 1)}
    assert ada.client.request("DELETE", "/users/me/second-factor", json=last).status_code == 204
    made(api.post("/sessions", json=credentials))


def test_the_secret_of_a_second_factor_is_stored_encrypted(ada: Somebody, scratch: Scratch) -> None:
    secret = made(ada.client.post("/users/me/second-factor"))["secret"]
    with scratch.admin("specgen") as admin:
        row = admin.execute(
            "SELECT two_factor_secret, u::text FROM users u WHERE id = %s", [ada.id]
        ).fetchone()
    assert row is not None
    assert row[0].startswith("AQ")
    assert secret not in row[1]
    assert secret not in ada.client.get("/users/me").text


def test_two_logins_with_one_code_are_one_login(api: httpx.Client, ada: Somebody) -> None:
    from concurrent.futures import ThreadPoolExecutor

    secret = made(ada.client.post("/users/me/second-factor"))["secret"]
    body = {"code": code(secret, -1)}
    assert ada.client.post("/users/me/second-factor/confirm", json=body).status_code == 204
    credentials = {"email": ada.email, "password": PASSWORD, "code": code(secret)}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.post("/sessions", json=credentials), range(4)))
    assert sorted(a.status_code for a in answers) == [201, 401, 401, 401]
