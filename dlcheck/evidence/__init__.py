"""How anything is shown to be true."""
