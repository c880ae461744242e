"""What the user writes: strict, frozen, errors with the key path."""
