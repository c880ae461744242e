"""A server by hand with specgen on it, and people who sign in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from argon2 import PasswordHasher

from pgstead.app import tokens
from pgstead.app.identifiers import uuid7
from tests.live.scratch import Scratch
from tests.live.service import SPECGEN, Running, migrated, serving_system
from tests.live.specgen.people import PASSWORD, Somebody


@pytest.fixture(scope="session")
def scratch() -> Iterator[Scratch]:
    """Share one migrated server among the tests of this folder."""
    with migrated(SPECGEN) as running:
        yield running


@pytest.fixture(scope="session")
def service(scratch: Scratch) -> Iterator[Running]:
    """Share one service."""
    with serving_system(SPECGEN, scratch) as running:
        yield running


@pytest.fixture
def api(service: Running) -> Iterator[httpx.Client]:
    """Give a client of nobody."""
    with httpx.Client(base_url=service.client.base_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def hashed() -> str:
    """Hash the password of all these people once: it takes as long as it is meant to."""
    return PasswordHasher().hash(PASSWORD)


@pytest.fixture
def make_person(
    api: httpx.Client, scratch: Scratch, hashed: str
) -> Iterator[Callable[[], Somebody]]:
    """Make people who are signed in; written past the service, which would hash for each."""
    made: list[Somebody] = []

    def make() -> Somebody:
        key = uuid7()
        email = f"{key.hex}@example.com"
        token = tokens.new("sgn", str(key))
        with scratch.admin("specgen") as admin:
            admin.execute(
                "INSERT INTO users (id, email, password_hash) VALUES (%s, %s, %s)",
                [key, email, hashed],
            )
            admin.execute(
                "INSERT INTO user_sessions (user_id, token_hash, expires_at)"
                " VALUES (%s, %s, now() + interval '1 hour')",
                [key, token.digest],
            )
        made.append(Somebody.of_token(api, email, str(key), token.text))
        return made[-1]

    yield make
    for somebody in made:
        somebody.client.close()


@pytest.fixture
def ada(make_person: Callable[[], Somebody]) -> Somebody:
    """Give a person with a workspace of their own."""
    somebody = make_person()
    somebody.make_workspace()
    return somebody
