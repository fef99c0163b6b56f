"""Reverse-mode differentiation on a computational graph."""
