"""Dropout, penalties on weights, gradient clipping, early stopping."""
