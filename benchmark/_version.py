"""The package's version: written here alone, for the build, run headers and board alike."""

__version__ = "0.1.0"
