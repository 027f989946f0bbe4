"""How fast this machine trains, which share of what it could it reaches, and where the rest goes."""
