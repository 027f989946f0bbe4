"""Models that others trained, made fit to be evaluated on the same targets by the same counting."""
