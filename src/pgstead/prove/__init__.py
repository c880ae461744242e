"""Promises: each a live experiment. Never imports the provisioner."""
