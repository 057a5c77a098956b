"""What the benchmarks share: child processes, the machine they ran on, and tables.

No framework is imported here, so that a child has none but its own.
"""
