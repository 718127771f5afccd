"""Experiments: configurations that differ in named settings, each trained with several seeds, in one store.

Door:
    experiment: Experiment, is_experiment, read_experiment
    trials: Outcome, run_trials, UNTIL

Not here: what their figures say (`evaluation.results.arms`), and how it is shown.
"""
