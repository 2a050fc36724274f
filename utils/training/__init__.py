"""Training and judging networks. Here: evaluation with any engine, detection in pictures; the loop is in trainer.py."""

from utils.training.channel_means import channel_means
from utils.training.decoding import HeadDecoder, Selection
from utils.training.detector import Detector
from utils.training.evaluation import EVALUATION, EvaluationResult, evaluate_engine
from utils.training.model_engine import ModelEngine
from utils.training.recalibration import recalibrated

__all__ = [
    "EVALUATION",
    "Detector",
    "EvaluationResult",
    "HeadDecoder",
    "ModelEngine",
    "Selection",
    "channel_means",
    "evaluate_engine",
    "recalibrated",
]
