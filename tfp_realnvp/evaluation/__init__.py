"""Scores of images in bits/dim, with standard errors, beside the paper's."""

from tfp_realnvp.evaluation.evaluation import Evaluation, score_split, summarize
from tfp_realnvp.evaluation.image_scores import ImageScores, score_images
from tfp_realnvp.evaluation.runs_evaluation import (
    RunsEvaluation,
    evaluate_runs,
    paper_results,
)

__all__ = [
    "Evaluation",
    "ImageScores",
    "RunsEvaluation",
    "evaluate_runs",
    "paper_results",
    "score_images",
    "score_split",
    "summarize",
]
