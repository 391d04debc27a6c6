"""The execution of a run: tasks out, results in, checkpoints, progress, and merging.

`execute` starts, resumes and extends; `loop` is the run itself, `schedule` the work that is left,
`engines` the threads that do it, `dask` a cluster; `known_answer` tries a device.
Start with `execute`.

May import `files`, `machine`, `sampling`, `runs`, `theory`, `statistics`, `physics`, `numerics`.
"""
