"""Many rows of many owners, tenants and workspaces, for the three systems."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from pgstead.app import tokens
from tests.live.scratch import Scratch

PARTS = 100  # owners, tenants, workspaces; each has as many rows as the others
NUMBER = 7  # of the caller among them


@dataclass(frozen=True)
class Volume:
    """What was filled in: how the caller signs in, and what stands for `{...}` in paths."""

    headers: dict[str, str]
    known: dict[str, str] = field(default_factory=dict)


def numbered(kind: int, number: int) -> uuid.UUID:
    """Return the key of a row that is referred to."""
    return uuid.UUID(f"{kind:08x}-0000-7000-8000-{number:012x}")


def key(kind: int, number: str) -> str:
    """Return the same in SQL."""
    return f"('{kind:08x}-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid"


def fill_jeex_idea(scratch: Scratch, rows: int) -> Volume:
    """Insert `rows` projects, documents, runs and exports of 100 owners."""
    owner, project = key(1, f"1 + g %% {PARTS}"), key(2, f"1 + g %% {PARTS}")
    _run(
        scratch,
        f"INSERT INTO users (id, email, name) SELECT {key(1, 'g')}, 'p' || g || '@example.com',"
        f" 'P' FROM generate_series(1, {PARTS}) g",
        f"INSERT INTO projects (id, created_by, name, status) SELECT {key(2, 'g')}, {owner}, 'P',"
        " (ARRAY['draft','in_progress','completed','archived'])[1 + g / 100 %% 4]"
        f" FROM generate_series(1, {rows}) g",
        "INSERT INTO document_versions (project_id, document_type, version, content, created_by)"
        f" SELECT {project}, 'plan' || g %% 3, g, 'x', {owner} FROM generate_series(1, {rows}) g",
        "INSERT INTO agent_executions (project_id, agent_type, correlation_id, status, started_at)"
        f" SELECT {project}, 'a' || g / 100 %% 5, {key(3, 'g')}, 'completed',"
        f" now() - g * interval '1 s' FROM generate_series(1, {rows}) g",
        f"INSERT INTO exports (project_id) SELECT {project} FROM generate_series(1, {rows}) g",
    )
    return Volume(
        {"X-User-ID": str(numbered(1, NUMBER))},
        {
            "user": str(numbered(1, NUMBER)),
            "project": str(numbered(2, NUMBER - 1)),
            "run": str(numbered(3, NUMBER - 1 + PARTS)),
        },
    )


def fill_ai_agents(scratch: Scratch, rows: int) -> Volume:
    """Insert `rows` enhancements, tickets and systems of 100 tenants, and an API key for each."""
    token = tokens.new("aia", f"t{NUMBER}")
    tenant = f"'t' || g %% {PARTS}"
    _run(
        scratch,
        "INSERT INTO tenant_configs (tenant_id, name, servicedesk_url,"
        " servicedesk_api_key_encrypted, webhook_signing_secret_encrypted) SELECT 't' || g, 'B',"
        " 'https://d.example.com', s, s FROM generate_series(0, 1999) g,"
        " (SELECT 'AQEA' || repeat('A', 60)) AS x (s)",
        "INSERT INTO tenant_api_keys (tenant_id, name, key_hash)"
        f" SELECT {tenant}, 'k', sha256(g::text::bytea) FROM generate_series(1, 5000) g",
        "INSERT INTO ticket_history (tenant_id, ticket_id, description, priority) SELECT"
        f" {tenant}, 'T' || g, CASE WHEN g %% 2000 < 100 THEN 'the disk of server '"
        " ELSE 'a printer in room ' END || g, 'low' FROM"
        f" generate_series(1, {rows}) g",
        "INSERT INTO system_inventory (tenant_id, ip_address, hostname)"
        f" SELECT {tenant}, '10.0.0.0'::inet + g, 'h' || g FROM generate_series(1, {rows}) g",
        "INSERT INTO enhancement_history (tenant_id, ticket_id, created_at, status)"
        f" SELECT {tenant}, 'T' || g, now() - g * interval '1 minute',"
        " (ARRAY['pending','completed','failed'])[1 + g / 100 %% 3]"
        f" FROM generate_series(1, {rows}) g",
    )
    with scratch.admin("ai_agents") as admin:
        admin.execute(
            "INSERT INTO tenant_api_keys (tenant_id, name, key_hash) VALUES (%s, 'mine', %s)",
            [token.bearer, token.digest],
        )
    return Volume({"Authorization": f"Bearer {token.text}"})


def fill_specgen(scratch: Scratch, rows: int) -> Volume:
    """Insert `rows` rows of what lies in 100 workspaces, each with members."""
    token = tokens.new("sgn", str(numbered(1, NUMBER)))
    workspace, project = key(2, f"1 + g %% {PARTS}"), key(3, f"1 + g %% {PARTS}")
    decision, artifact = key(4, "g"), key(5, "g")
    series = f"generate_series(1, {rows}) g"
    _run(
        scratch,
        "INSERT INTO users (id, email, password_hash)"
        f" SELECT {key(1, 'g')}, 'p' || g || '@example.com', '$argon2id$x'"
        " FROM generate_series(1, 2000) g",
        "INSERT INTO workspaces (id, owner_id, name, slug)"
        f" SELECT {key(2, 'g')}, {key(1, 'g')}, 'W', 'w' || g FROM generate_series(1, 2000) g",
        "INSERT INTO workspace_members (workspace_id, owner_id, user_id, role)"
        f" SELECT {key(2, 'g')}, {key(1, 'g')}, {key(1, 'g')}, 'owner'"
        " FROM generate_series(1, 2000) g",
        "INSERT INTO projects (id, workspace_id, name, project_type)"
        f" SELECT {key(3, 'g')}, {key(2, f'1 + (g - 1) %% {PARTS}')}, 'P', 'greenfield'"
        f" FROM {series}",
        "INSERT INTO branches (workspace_id, project_id, name)"
        f" SELECT {workspace}, {project}, 'b' || g FROM {series}",
        "INSERT INTO decisions (id, workspace_id, project_id, question_text)"
        f" SELECT {decision}, {workspace}, {project}, 'Q' FROM {series}",
        "INSERT INTO conversation_turns (workspace_id, decision_id, turn_number, role, content)"
        f" SELECT {workspace}, {decision}, 1, 'user', 'x' FROM {series}",
        "INSERT INTO artifacts (id, workspace_id, project_id, artifact_type, title)"
        f" SELECT {artifact}, {workspace}, {project}, 'prd', 'T' FROM {series}",
        "INSERT INTO artifact_versions (workspace_id, artifact_id, version, content)"
        f" SELECT {workspace}, {artifact}, 1, '{{}}' FROM {series}",
        "INSERT INTO comments (workspace_id, project_id, decision_id, content)"
        f" SELECT {workspace}, {project}, {decision}, 'c' FROM {series}",
        f"INSERT INTO templates (workspace_id, name) SELECT {workspace}, 'T' || g FROM {series}",
        "INSERT INTO audit_logs (workspace_id, project_id, user_id, action)"
        f" SELECT {workspace}, {project}, {key(1, f'1 + g %% {PARTS}')}, 'data_export'"
        f" FROM {series}",
        "INSERT INTO user_sessions (user_id, token_hash, expires_at) SELECT"
        f" {key(1, '1 + g %% 2000')}, sha256(g::text::bytea), now() + interval '1 h' FROM {series}",
    )
    with scratch.admin("specgen") as admin:
        admin.execute(
            "INSERT INTO user_sessions (user_id, token_hash, expires_at)"
            " VALUES (%s, %s, now() + interval '1 hour')",
            [numbered(1, NUMBER), token.digest],
        )
    return Volume(
        {"Authorization": f"Bearer {token.text}"},
        {
            "workspace": str(numbered(2, NUMBER)),
            "project": str(numbered(3, NUMBER)),
            "decision": str(numbered(4, NUMBER - 1 + PARTS)),
            "artifact": str(numbered(5, NUMBER - 1 + PARTS)),
        },
    )


def _run(scratch: Scratch, *statements: str) -> None:
    """Run the inserts with triggers off (they would take most of the time), and analyze."""
    with scratch.admin(scratch.database) as admin:
        admin.execute("SET session_replication_role = replica")
        for statement in statements:
            admin.execute(statement.replace("%%", "%").encode())
        admin.execute("RESET session_replication_role")
        admin.execute("VACUUM ANALYZE")  # the pending list of a GIN index too
