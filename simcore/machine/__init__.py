"""The machine at hand: its GPUs, its processors, its memory, and what a file says of them.

`gpu` finds devices and what stands in their way, `cpus` counts threads, `memory` compares what a
run takes with what there is, `provenance` describes the process. Start with `gpu`.

May import `runs`, `physics` and `numerics`.
"""
