"""A teacher for a network in training: losses on heads and on maps, and what they weigh over time."""

from utils.distillation.align_soft_target import AlignSoftTarget, align_soft_target_loss
from utils.distillation.detection_specific import DetectionSpecific, detection_specific_loss
from utils.distillation.distillation import Distillation, DistillationOptions, Soft
from utils.distillation.feature_losses import ChannelWise, FeatureLoss, MaskedGeneration, Mimic
from utils.distillation.hinton import hinton_loss
from utils.distillation.logit_distance import logit_distance
from utils.distillation.matching import LayerPair, check_pairs, check_same_heads, head_inputs, matched_heads
from utils.distillation.methods import METHODS, Compared, MethodName
from utils.distillation.near_objects import near_objects
from utils.distillation.outputs import HeadOutputs, Term
from utils.distillation.remarks import teacher_remarks
from utils.distillation.resemblance import DOUBTFUL, resemblance
from utils.distillation.student import Student
from utils.distillation.surviving import surviving_channels
from utils.distillation.teacher import Lesson, Teacher
from utils.distillation.teacher_cache import TeacherCache, digest
from utils.distillation.weight import WeightSchedule

__all__ = [
    "DOUBTFUL",
    "METHODS",
    "AlignSoftTarget",
    "ChannelWise",
    "Compared",
    "DetectionSpecific",
    "Distillation",
    "DistillationOptions",
    "FeatureLoss",
    "HeadOutputs",
    "LayerPair",
    "Lesson",
    "MaskedGeneration",
    "MethodName",
    "Mimic",
    "Soft",
    "Student",
    "Teacher",
    "TeacherCache",
    "Term",
    "WeightSchedule",
    "align_soft_target_loss",
    "check_pairs",
    "check_same_heads",
    "detection_specific_loss",
    "digest",
    "head_inputs",
    "hinton_loss",
    "logit_distance",
    "matched_heads",
    "near_objects",
    "resemblance",
    "surviving_channels",
    "teacher_remarks",
]
