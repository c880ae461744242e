"""The routes of ai_agents: a tenant's own, and the operator's."""
