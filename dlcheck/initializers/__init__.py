"""Initializers of weights."""
