"""Adapters: one for each form of component, each driving every accepted kind of code through cases."""
