"""Each query that an index is there for uses it, and nobody's list goes through others' rows.

The queries are those of the routes, asked of the application itself: see `route_plans`. With
200,000 rows of each table as soak: `make soak T="-k listed_queries"`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import pytest
from sqlalchemy import MetaData

from pgstead.app.guard import ROW_SECURITY
from systems.ai_agents import api as ai_agents
from systems.ai_agents.models import Base as AiAgentsBase
from systems.jeex_idea import api as jeex_idea
from systems.jeex_idea.models import Base as JeexBase
from systems.specgen import api as specgen
from systems.specgen.models import Base as SpecgenBase
from tests.live.scratch import Scratch
from tests.live.service import AI_AGENTS, JEEX_IDEA, SPECGEN, System, migrated
from tests.live.tenancy.route_plans import Ask, Explained, explain_routes
from tests.live.tenancy.volumes import Volume, fill_ai_agents, fill_jeex_idea, fill_specgen
from tests.waiting import until

SOME, MANY = 20_000, 200_000

JEEX_ASKS = (
    Ask("/projects/{project}", "projects_pkey"),
    Ask("/projects"),
    Ask("/projects?user_id={user}", "idx_projects_user_status"),
    Ask("/projects?user_id={user}&status=draft", "idx_projects_user_status"),
    Ask("/projects?status=draft", "idx_projects_user_status"),
    Ask("/projects?language=en"),
    Ask("/projects/{project}/documents", "idx_documents_project_version"),
    Ask(
        "/projects/{project}/documents?document_type=plan0",
        "idx_documents_unique_version|idx_documents_project_version",
    ),
    Ask(
        "/projects/{project}/documents/latest?document_type=plan0",
        "idx_documents_unique_version|idx_documents_project_version",
    ),
    Ask("/projects/{project}/agents/executions", "idx_executions_project"),
    Ask("/projects/{project}/agents/executions?status=completed", "idx_executions_project"),
    Ask("/projects/{project}/agents/executions?agent_type=a1", "idx_executions_project"),
    Ask("/projects/{project}/agents/executions?correlation_id={run}", "idx_executions_correlation"),
    Ask("/projects/{project}/exports", "idx_exports_project"),
    Ask("/projects/{project}/exports?status=pending", "idx_exports_project"),
)
AI_AGENTS_ASKS = (
    Ask("/tenant", "ix_tenant_configs_tenant_id"),
    Ask("/keys", "ix_tenant_api_keys_tenant_hash"),
    Ask("/enhancements", "ix_enhancement_history_tenant_id"),
    Ask("/enhancements?status=failed", "ix_enhancement_history_tenant_id"),
    Ask(
        "/enhancements?ticket_id=T107",
        "ix_enhancement_history_tenant_ticket|ix_enhancement_history_ticket_id",
    ),
    Ask("/tickets", "ix_ticket_history_tenant_id"),
    Ask("/tickets?ticket_id=T107", "ix_ticket_history_tenant_ticket"),
    Ask("/tickets?priority=low", "ix_ticket_history_tenant_id"),
    # the second holds tenant and id: a look-up of one row as well
    Ask("/tickets/search?q=disk", "ticket_history_pkey|ix_ticket_history_tenant_id"),
    Ask("/systems", "ix_system_inventory_tenant_id"),
    Ask("/systems?ip_address=10.0.0.107", "ix_system_inventory_tenant_ip"),
    Ask("/systems?hostname=h107", "ix_system_inventory_hostname"),
    Ask("/systems/in?network=10.0.1.0/24", "ix_system_inventory_tenant_ip"),
)
SPECGEN_ASKS = (
    Ask("/sessions", "user_sessions_user_id_token_hash_key"),
    Ask("/workspaces"),
    Ask("/workspaces?slug=w7", "workspaces_slug_key"),
    Ask("/workspaces/{workspace}/members", "workspace_members_workspace_id_user_id_key"),
    Ask("/workspaces/{workspace}/projects", "ix_projects_workspace_id"),
    Ask(
        "/workspaces/{workspace}/projects?status=draft",
        "ix_projects_status|ix_projects_workspace_id",
    ),
    Ask("/workspaces/{workspace}/branches"),
    Ask("/workspaces/{workspace}/branches?project_id={project}"),
    Ask("/workspaces/{workspace}/branches?name=b106", "ix_branches_name"),
    Ask("/workspaces/{workspace}/decisions"),
    Ask("/workspaces/{workspace}/decisions?status=pending"),
    Ask("/workspaces/{workspace}/decisions?project_id={project}"),
    Ask("/workspaces/{workspace}/conversation-turns"),
    Ask(
        "/workspaces/{workspace}/conversation-turns?decision_id={decision}",
        "conversation_turns_workspace_id_decision_id_turn_number_key",
    ),
    Ask("/workspaces/{workspace}/artifacts"),
    Ask("/workspaces/{workspace}/artifacts?artifact_type=prd"),
    Ask("/workspaces/{workspace}/artifacts?project_id={project}"),
    Ask("/workspaces/{workspace}/artifact-versions"),
    Ask(
        "/workspaces/{workspace}/artifact-versions?artifact_id={artifact}",
        "artifact_versions_workspace_id_artifact_id_version_key",
    ),
    Ask("/workspaces/{workspace}/comments"),
    Ask("/workspaces/{workspace}/comments?decision_id={decision}", "ix_comments_decision_id"),
    Ask("/workspaces/{workspace}/templates", "ix_templates_workspace_id"),
    Ask("/workspaces/{workspace}/templates?name=T106", "ix_templates_name"),
    Ask("/workspaces/{workspace}/audit-logs", "ix_audit_logs_workspace_id"),
    Ask("/workspaces/{workspace}/audit-logs?action=data_export", "ix_audit_logs_workspace_id"),
)


@dataclass(frozen=True)
class Listed:
    """A system with its rows and its queries."""

    system: System
    api: ModuleType
    metadata: MetaData
    fill: Callable[[Scratch, int], Volume]
    asks: tuple[Ask, ...]
    # used inside of functions, where the server counts and nobody outside can explain
    inside: tuple[str, ...] = ()

    @property
    def protected(self) -> set[str]:
        """The tables that belong to somebody."""
        tables = self.metadata.tables.values()
        return {table.name for table in tables if ROW_SECURITY in table.info}


LISTED = (
    Listed(JEEX_IDEA, jeex_idea, JeexBase.metadata, fill_jeex_idea, JEEX_ASKS),
    Listed(
        AI_AGENTS,
        ai_agents,
        AiAgentsBase.metadata,
        fill_ai_agents,
        AI_AGENTS_ASKS,
        inside=("ix_ticket_history_search",),
    ),
    Listed(SPECGEN, specgen, SpecgenBase.metadata, fill_specgen, SPECGEN_ASKS),
)

Plans = dict[str, list[Explained]]


def plans_of(listed: Listed, rows: int) -> Plans:
    """Return the plans of all queries of a system, on so many rows of each table."""
    with migrated(listed.system) as scratch:
        volume = listed.fill(scratch, rows)
        app = listed.api.create_app({"PGSTEAD_CONNECTION": str(scratch.connection)})
        paths = {ask.path.format(**volume.known): ask.path for ask in listed.asks}
        found = explain_routes(app, volume.headers, list(paths))
        for index in listed.inside:
            until(lambda index=index: was_scanned(scratch, index), f"{index} was used")
    return {paths[path]: plans for path, plans in found.items()}


def was_scanned(scratch: Scratch, index: str) -> bool:
    """Say whether the server counted a scan; it counts when a connection has ended."""
    query = "SELECT idx_scan > 0 FROM pg_stat_user_indexes WHERE indexrelname = %s"
    with scratch.admin(scratch.database) as admin:
        return admin.execute(query, [index]).fetchone() == (True,)


def wrong(listed: Listed, plans: Plans) -> Iterator[str]:
    """Yield what is not as it is meant, with the plan."""
    for ask in listed.asks:
        used = set[str]().union(*(found.indexes for found in plans[ask.path]))
        if ask.index and not used & set(ask.index.split("|")):
            yield f"{ask.path} uses {sorted(used)}, not {ask.index}"
        for found in plans[ask.path]:
            for node in found.reads_all_of(listed.protected):
                told = {k: v for k, v in node.items() if k != "Plans"}
                yield f"{ask.path} goes through everybody's rows: {found.statement}\n  {told}"


@pytest.mark.parametrize(
    "rows", [SOME, pytest.param(MANY, marks=pytest.mark.soak)], ids=["some", "many"]
)
@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: listed.system.name)
def test_listed_queries_use_their_indexes_and_touch_nobody_else_s_rows(
    listed: Listed, rows: int
) -> None:
    found = list(wrong(listed, plans_of(listed, rows)))
    assert not found, "\n".join(found)
