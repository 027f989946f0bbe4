"""Metrics of a run while it trains, and the records of past runs."""
