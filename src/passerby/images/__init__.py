"""Decode and resize images with NumPy and Pillow only."""
