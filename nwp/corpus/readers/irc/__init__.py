"""Logs of IRC channels."""
