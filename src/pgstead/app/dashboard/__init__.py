"""`/dashboard`: pages for people, made on the server of what the agent has sampled."""
