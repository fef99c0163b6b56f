"""Convolutional networks of the literature, each from one declaration."""
