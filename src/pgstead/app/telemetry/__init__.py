"""What a service tells of itself and of its stead: instruments, samples, `/metrics`."""
