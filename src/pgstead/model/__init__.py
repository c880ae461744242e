"""The vocabulary: frozen values shared by every stage. No input, no output."""
