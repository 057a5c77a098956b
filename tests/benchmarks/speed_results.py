"""Made-up results of the speed benchmark, for the tests of what is made of them."""


def entry(error=None, **seconds):
    """Returns what is known of a contender with these times of its operations."""
    return {
        "error": error,
        "parameters": 100,
        "threads": {"intra_op": 2},
        "notes": [],
        "build_seconds": 1.0,
        "first_seconds": {operation: 3.0 for operation in seconds},
        "network_runs": {operation: 1.0 for operation in seconds},
        "seconds": seconds,
    }


def cell(name, groups, **kwargs):
    """Returns what is known of a cell."""
    contenders = list(dict.fromkeys(n for group in groups for n in group))
    return {
        "name": name,
        "sizes": {},
        "batch": 64,
        "operations": ["train", "log_prob", "sample"],
        "contenders": contenders,
        "series": [],
        "memory": {},
        "groups": groups,
        "seconds": 60.0,
        "date": "2026-01-01",
        **kwargs,
    }


def results(*cells, quick=False):
    """Returns what a run writes."""
    run = {
        "command": "python benchmarks/speed",
        "date": "2026-01-01",
        "cpu": "a processor",
        "cores": 2,
        "flags": {"avx2": True, "amx_bf16": False},
        "memory_bytes": 2**34,
        "load_average_at_start": [0.0, 0.0, 0.0],
        "packages": {"tensorflow": "2.21.0", "torch": None},
        "python": "3.11",
        "commit": None,
        "image_peer": None,
    }
    return {"run": run, "quick": quick, "cells": {c["name"]: c for c in cells}}
