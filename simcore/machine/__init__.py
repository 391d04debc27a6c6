"""The machine at hand: its GPUs, its processors, its memory, and their description in a file.

`gpu` finds devices and the obstacles to them, `auto` chooses one where none was named, `cpus`
counts threads, `memory` compares the needs of a run with what is free, `cgroups` reads the limits
of control groups, `provenance` describes the process. Start with `gpu`.

May import `runs`, `physics` and `numerics`.
"""
