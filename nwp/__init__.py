"""Next-word prediction learnt federatedly from many people's messages, without moving them."""

__version__ = "0.1.0"
