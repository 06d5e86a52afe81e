"""What fine-tuning did to the affine of norm layers: how it moved, what it tells of the domain, which channels match.

movement      how far ratios, weights and biases are from where they started
separability  how well vectors of runs tell the runs' domains apart, against permuted domains
matching      which channels of two networks do the same work, and whether AC-Norm's partners are among them
networks      the networks of a run, before and after, and what their channels answer to images
used_data     which runs are on the same data, and how these are called
folders       runs as they are read
probes        the images that networks are tried on, which no run has learnt from
inspection    all of it for a list of runs
"""
