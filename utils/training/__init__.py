"""Training and judging networks. Here: evaluation with any engine, detection in pictures; the loop is in trainer.py."""

from utils.training.activation_statistics import activation_statistics
from utils.training.agreement import agreement, detections_as_labels
from utils.training.channel_means import channel_means
from utils.training.compression import Compressor, Gradients, Round, plan_by, schedule
from utils.training.decoding import HeadDecoder, Selection
from utils.training.detector import Detector
from utils.training.evaluation import EVALUATION, EvaluationResult, evaluate_engine
from utils.training.model_engine import ModelEngine
from utils.training.recalibration import recalibrated
from utils.training.reconstruction import Reconstruction, Sampling, reconstructed
from utils.training.taylor import taylor_importance

__all__ = [
    "EVALUATION",
    "Compressor",
    "Detector",
    "EvaluationResult",
    "Gradients",
    "HeadDecoder",
    "ModelEngine",
    "Reconstruction",
    "Round",
    "Sampling",
    "Selection",
    "activation_statistics",
    "agreement",
    "channel_means",
    "detections_as_labels",
    "evaluate_engine",
    "plan_by",
    "recalibrated",
    "reconstructed",
    "schedule",
    "taylor_importance",
]
