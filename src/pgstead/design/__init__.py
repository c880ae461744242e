"""Manifest -> wanted. Pure; each derived value carries its reason."""
