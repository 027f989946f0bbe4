"""The aggregations that a plan can name."""

from __future__ import annotations

from nwp.federated.averaging import MEAN
from nwp.federated.protocol import Aggregation
from nwp.federated.scaffold import SCAFFOLD

AGGREGATIONS: dict[str, Aggregation] = {each.name: each for each in (MEAN, SCAFFOLD)}
