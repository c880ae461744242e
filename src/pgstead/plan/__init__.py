"""Wanted x found -> plan. Pure."""
