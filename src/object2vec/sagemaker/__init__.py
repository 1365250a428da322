"""SageMaker without SageMaker: the container's contract, and a client with the SDK's shape.

Names and modules are those of AWS's Python SDK, so that a notebook moves by changing its imports,
``sagemaker`` to ``object2vec.sagemaker``. Jobs and endpoints are processes on this machine.

Examples
--------
>>> from object2vec.sagemaker import Estimator, TrainingInput
"""

from __future__ import annotations

from object2vec.sagemaker import estimator, image_uris, inputs, predictor, session
from object2vec.sagemaker.analytics import TrainingJobAnalytics
from object2vec.sagemaker.deserializers import JSONDeserializer, JSONLinesDeserializer
from object2vec.sagemaker.estimator import Estimator
from object2vec.sagemaker.exceptions import UnexpectedStatusException
from object2vec.sagemaker.image_uris import get_image_uri
from object2vec.sagemaker.inputs import TrainingInput
from object2vec.sagemaker.model import Model
from object2vec.sagemaker.predictor import Predictor
from object2vec.sagemaker.serializers import JSONLinesSerializer, JSONSerializer
from object2vec.sagemaker.session import Session, get_execution_role
from object2vec.sagemaker.transformer import Transformer

__all__ = [
    "Estimator",
    "JSONDeserializer",
    "JSONLinesDeserializer",
    "JSONLinesSerializer",
    "JSONSerializer",
    "Model",
    "Predictor",
    "Session",
    "TrainingInput",
    "TrainingJobAnalytics",
    "Transformer",
    "UnexpectedStatusException",
    "estimator",
    "get_execution_role",
    "get_image_uri",
    "image_uris",
    "inputs",
    "predictor",
    "session",
]
