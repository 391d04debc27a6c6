"""Shared set-up: compiled kernels are cached by the digest of the sources, as for a user."""

from __future__ import annotations

from simcore.numba_setup import prepare

prepare()
