"""From a context to ranked words, and the prompt that shows them."""
