"""The one folder that imports syft: connections, clients, peers, private datasets, jobs.

Written for syft 0.10.0 and syft-rds 0.6.1. Syft has the parts that governance needs (datasites,
datasets with a mock, jobs that an owner approves, encrypted files over a store) and some defects
that a program must guard against; each guard says which. Everything used of syft that is not
documented as public is listed in `tests/workers/test_adapter.py`, which fails on the day it changes.
"""
