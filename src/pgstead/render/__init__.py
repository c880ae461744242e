"""Wanted -> files. Pure; touches no disk."""
