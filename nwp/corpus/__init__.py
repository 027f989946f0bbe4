"""Reading, splitting and naming corpora of per-user messages."""
