"""The speed benchmark: `python benchmarks/speed --output DIR`."""
