"""How somebody's code is judged."""
