"""SMS Backup & Restore."""
