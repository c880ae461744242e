"""HTTP: the service process of a system (`python -m pgstead.serve`)."""
