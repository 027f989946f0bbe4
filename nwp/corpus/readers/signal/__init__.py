"""Signal's exports, and those of tools around it."""
