"""Many runs as one: a grid of cells that are run once each, and what can be concluded from them.

statistics  intervals and tests of paired differences, as functions of arrays
ranges      where a metric ends, and with it every interval
folds       repeated divisions into train, validation and test, and shares of the training labels
cells       one run of a grid, addressed by what decides its result
made_of     the data and the checkpoint that a cell was planned with, which it looks at again as it starts and ends
store       cells, their states and their metrics in SQLite
grid        GRID.yaml, read and checked
misleading  grids that would compare what is no pair, or count runs twice
unique_keys YAML in which no name stands twice
variants    names in a grid that stand for several settings, and the part of it that is run
parts       which finished cells still are of the grid, where a part of it is run
compare     the grid of acnorm compare
search      the settings of every run, looked for on its validation cases
halving     which of several runs to go on with, within a budget of time
short_finetunes  halving of the candidates that rank cannot tell apart
engine      what the runner asks of the place where cells run
runner      the cells, a few at a time, wherever they run
forks       on this machine: processes that split off from one that has imported everything (template); processes, where
            each starts from nothing; work is what each of them does
engine_ray  tasks of a Ray cluster; ray_cell is what a worker does
foresight   what a grid will take, by the cells that are finished or by pilot runs, which pilot makes
undefined   metrics that not every case has: in which of them runs are compared
results     the metrics of the finished cells, compared; over_tasks and ranks compare over tasks, words says it
study       scores of candidates against the results of the cells: study_cells, study_scores, study_means and study_rows
            are its parts, judging the figures, study_words the sentences
"""
