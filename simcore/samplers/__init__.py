"""The samplers: each draws independent networks and observes them layer by layer."""
