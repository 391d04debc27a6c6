"""Chunks, checksums and the file under HDF5. Start with `writer`."""
