"""For whom the model works: counts per user, metrics, baselines."""
