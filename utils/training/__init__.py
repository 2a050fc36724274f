"""Training and judging networks: so far evaluation with any engine, and detection in pictures."""

from utils.training.decoding import HeadDecoder, Selection
from utils.training.detector import Detector
from utils.training.evaluation import EVALUATION, EvaluationResult, evaluate_engine
from utils.training.model_engine import ModelEngine

__all__ = [
    "EVALUATION",
    "Detector",
    "EvaluationResult",
    "HeadDecoder",
    "ModelEngine",
    "Selection",
    "evaluate_engine",
]
