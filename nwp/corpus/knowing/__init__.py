"""Knowing a corpus: what `nwp corpus show` tells."""
