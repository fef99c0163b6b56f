"""Learning-rate and momentum schedules."""
