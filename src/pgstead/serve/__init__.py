"""HTTP: health and the mounting of the systems APIs."""
