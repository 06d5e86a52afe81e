"""AC-Norm itself; needs torch and jaxtyping alone and works in any PyTorch loop.

correlation  the formulas of the paper: affine ratio, channel correlation, recalibrated affine
partners     which entries of C are kept: the paper's rule, and controls for ablations
merge        the affine with what it borrows, and its gradient
windowed     the same product without building the C × C matrix, for wide layers
layer        ``ACNorm``, the wrapper around one norm layer
memory       what a layer remembers of its C, and when it may use it
together     the formulas for all layers of equal width at once, as a converted network runs
census       which norm layers a network has, which of them are converted, and why the others are not
convert      ``convert`` and ``revert``: a whole network in place
fold         ``fold``: back to a plain network with equal outputs
summary      gain, sparsity and drift of a converted network
values       in which precision values are taken, and when they can be looked at
"""
