"""Run folders read back, drawn and written as one self-contained HTML page.

`records` says what a run holds, `read` reads it, `drawing` turns figures into inline SVG, `figures`,
`acnorm_figures` and `comparison` draw, `summary` puts the run into words, `write` makes the page.
"""
