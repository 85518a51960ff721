"""Benchmarks: figures of one run are compared with each other, so they hold on any machine."""
