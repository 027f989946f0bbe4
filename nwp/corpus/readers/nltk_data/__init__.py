"""NLTK's corpora, by name."""
