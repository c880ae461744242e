"""The systems in one process: what they share, and one service that mounts the others."""
