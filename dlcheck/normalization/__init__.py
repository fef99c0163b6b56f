"""Batch normalization and local response normalization."""
