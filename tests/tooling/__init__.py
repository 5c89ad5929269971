"""Tests of what stands round the package: the dev script, the locks, the change log."""
