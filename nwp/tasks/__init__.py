"""What the commands do: corpus, workers, learning and evaluation put together. No printing."""
