"""Text to words and back: tokenizer, vocabulary, surface forms."""
