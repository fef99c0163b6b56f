"""The suite that dlcheck verify runs through pytest."""
