"""Whole clusters in one process, under a clock that jumps: every run is decided by its seed."""
