"""The use cases that string stages together."""
