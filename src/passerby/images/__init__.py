"""Decode, resize and normalise pictures."""
