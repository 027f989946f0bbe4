"""The options that several modules of commands share, and those of training, which are many: each is
declared once, by subject.

A command's signature names them in the order of its help, with the command's defaults: typer takes a
default from there alone. An environment variable is named after the parameter (NWP_TRAIN_ROUNDS).
"""
