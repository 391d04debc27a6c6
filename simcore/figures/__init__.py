"""Figures for print, of runs, of training and of theory, through matplotlib.

`style` holds what they share: colours, lines of theory, and writing; `looks` the looks of the
points of a grid, `place` panels, axes, legends and the layers at which points stand. `runs` is the
door of `simcore plot`, `drawings` has its kinds, `captions` their captions; `theory` draws
`simcore theory -o FILE.pdf`.

May import `training`, `results`, `theory`, `physics`.
"""
