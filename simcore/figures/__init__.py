"""Figures for print, of runs, of training and of theory, through matplotlib.

`style` holds what they share: colours, lines of theory, and writing. `runs` draws
`simcore plot`, `theory` draws `simcore theory -o FILE.pdf`.

May import `training`, `results`, `theory`, `physics`.
"""
