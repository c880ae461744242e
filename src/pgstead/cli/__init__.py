"""One module per command; stages are imported inside the function."""
