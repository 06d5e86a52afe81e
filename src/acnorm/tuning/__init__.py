"""Fine-tuning methods, one file each, and the table of them.

A method changes a network after its source weights are in (``prepare``), rebuilds the changed network from a
saved state (``rebuild``), and gives back a plain network to ship (``finish``).
"""
