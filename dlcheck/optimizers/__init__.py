"""Optimizers: pure steps in NumPy, classes in PyTorch."""
