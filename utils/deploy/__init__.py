"""Other engines behind one protocol, comparisons between them, and what deployment needs beside a pair of files."""

from utils.deploy.batch_norm import EPSILON, folded, variances_for_opencv, variances_for_pjreddie, with_variances
from utils.deploy.engine import ENGINES, Engine, EngineKind, engine_problems, open_engine
from utils.deploy.latency import Latency, measure
from utils.deploy.latency_table import measure_latency_model
from utils.deploy.network_input import random_images
from utils.deploy.neutral import engine_neutral, is_engine_neutral
from utils.deploy.onnx_export import export_onnx
from utils.deploy.onnx_graph import onnx_model, onnx_problems
from utils.deploy.report import EngineVerdict, HeadDifference, VerificationReport
from utils.deploy.verify import TOLERANCE, compare_pair, verify_pair

__all__ = [
    "ENGINES", "EPSILON", "TOLERANCE", "Engine", "EngineKind", "EngineVerdict", "HeadDifference", "Latency",
    "VerificationReport", "compare_pair", "engine_neutral", "engine_problems", "export_onnx", "folded",
    "is_engine_neutral", "measure", "measure_latency_model", "onnx_model", "onnx_problems", "open_engine", "random_images",
    "variances_for_opencv", "variances_for_pjreddie", "verify_pair", "with_variances",
]
