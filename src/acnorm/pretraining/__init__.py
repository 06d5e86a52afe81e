"""Pretext tasks that make source checkpoints from images, one file each, and the table of them.

A task builds a network around an encoder (``encoder``), gives the loss of a batch of images, and says what of it is
worth a look. All that is random is drawn from PyTorch's generators, so that the trainer's seed decides it.

    encoder            the part that is kept, with pooled or dense features
    views              random views of images, for tasks that compare them
    tiles              images cut into a grid, and orders of its tiles
    distortions        what Models Genesis does to images before they are restored
    monitor            signs of use and of collapse: neighbours, spread of features
    task               what a task must do
    pretext            the table of tasks
"""
