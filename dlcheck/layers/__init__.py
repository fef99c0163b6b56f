"""Linear and convolution layers."""
