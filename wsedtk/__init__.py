"""wsedtk: weakly supervised sound event detection, from recordings to scored events."""

__version__ = "0.1.0"
