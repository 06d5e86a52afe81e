"""Fine-tuning on Lightning, the run folder, and what is done with a finished run.

config      one typed configuration behind Python, YAML and flags
settings    the same configuration out of flags, YAML files and keyword arguments, with all mistakes told together
run_folder  the folder of a run: what is where, written atomically
prepare     data, network and method of a run, before anything is written
module      the Lightning module and its data loaders
fit         the trainer: devices, callbacks, resuming
metrics     classification metrics and their bootstrap intervals
evaluate    predictions and metrics of a finished run
shipping    the folded plain network on disk, and back
finetune    all of it in order
predict     a finished run on new data
export      ONNX and torch.export, checked against the run
"""
