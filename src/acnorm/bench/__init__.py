"""Many runs as one: a grid of cells that are run once each, and what can be concluded from them.

statistics  intervals and tests of paired differences, as functions of arrays
folds       repeated divisions into train, validation and test, and shares of the training labels
cells       one run of a grid, addressed by what decides its result
store       cells, their states and their metrics in SQLite
grid        GRID.yaml, read and checked
runner      the cells as processes on this machine
results     the metrics of the finished cells, compared
study       scores of candidates against the results of the cells: study_cells, study_scores, study_means and study_rows
            are its parts, judging the figures, study_words the sentences
"""
