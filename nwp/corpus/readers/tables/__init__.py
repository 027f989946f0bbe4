"""Tables with columns for users and texts."""
