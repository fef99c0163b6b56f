"""Autoencoders, restricted Boltzmann machines, deep belief networks."""
