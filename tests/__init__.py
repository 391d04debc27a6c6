"""Tests use the vector width of the commands, and share their compiled kernels."""

from simcore.numerics.compiling import prefer_wide_vectors

prefer_wide_vectors()
