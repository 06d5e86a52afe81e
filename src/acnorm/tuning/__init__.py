"""Fine-tuning methods, one file each, behind one protocol of hooks (``hooks``), and the table of them (``method``).

A method changes a network after its source weights are in, freezes parts of it, sets rates, adds penalties, and gives
back a plain network to ship; several combine (``combined``).
"""
