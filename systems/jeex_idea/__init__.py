"""jeex_idea: document generation by several agents, on the foundation that pgstead lays."""
