"""ai_agents: tickets of several tenants, enriched by agents, on the foundation pgstead lays."""
