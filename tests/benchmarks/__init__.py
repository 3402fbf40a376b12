"""Benchmarks: run by hand, printed as ratios against a named peer in the same run; they assert no times."""
