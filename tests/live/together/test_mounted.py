"""One process serves all three: jeex_idea at the root, the others mounted."""

from __future__ import annotations

import pytest

from pgstead.app.encryption import keyfile
from tests.live.answers import made, refused
from tests.live.scratch import running_server
from tests.live.service import SYSTEMS, System, alembic, serving_system


class Together(System):
    """The application that mounts the systems; its database is that of the first one."""

    @property
    def application(self) -> str:
        return "systems.together.api:create_app"


@pytest.mark.slow
def test_each_system_answers_at_its_place_with_its_own_database() -> None:
    with running_server() as scratch:
        keys = scratch.connection.parent.parent / "keys"
        keys.mkdir(mode=0o700)
        for system in SYSTEMS:
            if system.name != scratch.database:
                scratch.add_database(system.name, system.prefix)
            file = keys / f"{system.name}.json"
            file.touch(mode=0o600)
            file.write_text(keyfile.new())
            connection = scratch.connection.with_name(f"{system.name}.json")
            alembic("upgrade", "head", connection=connection, system=system)
        with serving_system(Together("jeex_idea", "JEEX_"), scratch) as service:
            client = service.client
            for place, path in (
                ("", "/users/{user_id}"),
                ("/ai_agents", "/tickets/{id}"),
                ("/specgen", "/workspaces/{id}"),
            ):
                ready = made(client.get(f"{place}/health/ready"), 200)
                assert ready["database"] == "connected"
                assert path in client.get(f"{place}/openapi.json").json()["paths"]
            refused(client.get("/ai_agents/tickets"), 401)
            answer = client.get("/specgen/users/me", headers={"X-Correlation-ID": "outer-1"})
            assert refused(answer, 401)["correlation_id"] == "outer-1"
            # made up by the host, and the same in the guest's problem
            answer = client.get("/specgen/users/me")
            assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]
