"""Promises, tried on the running stead as a stranger would. Imports nothing that provisions."""
