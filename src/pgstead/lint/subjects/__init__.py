"""The rules, one module per subject; `pgstead.lint.registry` lists them all."""
