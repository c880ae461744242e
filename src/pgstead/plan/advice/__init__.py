"""What is found about a running server, and what to do about it: rows to findings, purely."""
