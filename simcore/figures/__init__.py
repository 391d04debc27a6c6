"""Figures for print, of runs, of training and of theory, through matplotlib.

`style` is what they share, `runs` draws `simcore plot`, `theory` draws `simcore theory --figure`.

May import `training`, `results`, `theory`, `physics`.
"""
