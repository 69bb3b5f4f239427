"""Quillflow's recogniser: line images in, text out. It knows handwriting and no platform."""

__version__ = "0.1.0"
