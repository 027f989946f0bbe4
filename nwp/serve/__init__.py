"""Suggestions over HTTP, and a page to type into. No torch; nothing typed is logged or kept on disk."""
