"""The replay's inner loops for the CPU, compiled by numba."""
