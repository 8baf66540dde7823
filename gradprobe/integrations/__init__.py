"""gradprobe inside of trainers and trackers: one thin module for each, none imported by another.

trackers   tensorboard, wandb, mlflow, trackio: a `Logger` each (`logger`)
trainers   lightning, transformers, accelerate: a run under a probe each (`trained`)
samplers   diffusers: a callback that marks the stages of a pipeline
"""
