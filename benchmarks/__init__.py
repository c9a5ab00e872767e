"""Benchmarks: pyredund beside its peers, every timed result checked."""
