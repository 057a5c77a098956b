"""Shared by the benchmarks: child processes, a record of the machine, and tables.

No framework is imported here, so that a child has only its own.
"""
