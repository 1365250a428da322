"""What a request says of the container: whose image it is, and the variables of its process."""

from __future__ import annotations

import re
from collections.abc import Mapping

from object2vec.reporting.aws_log import LOG_FORMS
from object2vec.sagemaker.algorithms import ALGORITHM_VARIABLE, ALGORITHMS, LOG_VARIABLE
from object2vec.sagemaker.local.protocol import ServiceError

_IMAGE = re.compile(r"(?:.*/)?(object2vec|ipinsights)(?::([\w.-]+))?(?:@.*)?")
_LOADING = re.compile(r"(?:LD_|DYLD_|PYTHON|NUMBA_|TORCH|GCONV_|PATH$).*")


def algorithm_of_image(image: str) -> str:
    """Return the algorithm of an image; raise `ServiceError` if it is none of ours."""
    match = _IMAGE.fullmatch(image)
    if match is None or match[1] not in ALGORITHMS:
        text = f"The image must be that of object2vec or ipinsights; got {image!r}."
        raise ServiceError.validation(text)
    return match[1]


def variables_of_image(image: str) -> dict[str, str]:
    """Return the variables that choose the algorithm, and the log of the year that the tag names.

    Raises
    ------
    ServiceError
        If the image is none of ours.

    Examples
    --------
    >>> variables_of_image("1.dkr.ecr.us-east-1.amazonaws.com/object2vec:2019")
    {'OBJECT2VEC_ALGORITHM': 'object2vec', 'OBJECT2VEC_LOG': '2019'}
    """
    variables = {ALGORITHM_VARIABLE: algorithm_of_image(image)}
    match = _IMAGE.fullmatch(image)
    if match is not None and match[2] in LOG_FORMS:
        variables[LOG_VARIABLE] = match[2]
    return variables


def check_environment(variables: Mapping[str, str]) -> None:
    """Raise `ServiceError` for a variable that would have a process run other code than ours."""
    for name in variables:
        if _LOADING.fullmatch(name.upper()):
            text = f"Environment must not say which code is run; got {name}. Leave it out."
            raise ServiceError.validation(text)
