"""Training runs that can be stopped and resumed, and their folders."""

from tfp_realnvp.runs.callbacks import LearningRate
from tfp_realnvp.runs.run import evaluate_run, train, write_report
from tfp_realnvp.runs.run_config import RunConfig, recipe_of
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.runs.strategy import make_strategy

__all__ = [
    "LearningRate",
    "RunConfig",
    "RunDirectory",
    "evaluate_run",
    "make_strategy",
    "recipe_of",
    "train",
    "write_report",
]
