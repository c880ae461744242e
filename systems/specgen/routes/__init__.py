"""The routes of specgen: people, workspaces, and what lies in those."""
