"""The network side of the method, in pure torch: attention, network, baselines, objectives."""
