"""The LSTM language model, its bundle on disk, and a runtime without torch."""
