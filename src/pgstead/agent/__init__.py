"""The agent: the process that keeps the schedule of a stead."""
