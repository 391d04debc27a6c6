"""The file of a run: HDF5 that opens as it is in xarray, netCDF4, silx and h5web.

`layout` names every array, `run_results` gives their values, `run_file` writes and reads them,
`resume_state` the state to resume a run; `hdf5`, `writer`, `sink` and `lock` bring bytes to the
disk. Start with `layout`; docs/file-format.md is the specification.

May import `machine`, `runs`, `statistics`, `physics`, `numerics`.
"""
