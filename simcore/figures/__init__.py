"""Figures for print, of runs and of theory, through matplotlib.

`style` is what they share, `runs` draws `simcore plot`, `theory` draws `simcore theory --figure`.

May import `results`, `theory`, `physics`.
"""
