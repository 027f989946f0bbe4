"""PySyft: datasites, policies, messages; and the engines that run a worker's users."""
