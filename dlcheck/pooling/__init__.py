"""Pooling over windows and over whole maps."""
