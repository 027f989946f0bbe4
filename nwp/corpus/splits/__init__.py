"""Splits of a corpus for research: a recipe, and the steps it stands for."""
