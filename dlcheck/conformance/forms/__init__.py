"""How the reference is driven: one module for each form of component, found by name."""
