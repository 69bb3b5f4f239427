"""Figures that the docs quote, each measured beside a peer or a limit."""
