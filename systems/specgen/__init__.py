"""specgen: specifications built with agents in workspaces, on the foundation that pgstead lays."""
