"""The learning core: plan, local training, aggregation, server optimizers, the round loop."""
