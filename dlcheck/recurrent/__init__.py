"""Recurrent networks: plain, gated, pyramidal, with a stack."""
