"""The version, in one file: the build and `passerby.__version__` read it from here."""

__version__ = "0.2.0"
