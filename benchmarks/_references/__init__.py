"""Peers and sampling for the reference benchmarks."""
