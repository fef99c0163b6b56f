"""The HTML report, rendered from results."""
