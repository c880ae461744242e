"""The pytest plugin for applications."""
