"""SageMaker Python SDK v2: a Predictor with serializers."""

import boto3
from forms import body, is_lines, parsed
from sagemaker.deserializers import BytesDeserializer, JSONDeserializer, JSONLinesDeserializer
from sagemaker.predictor import Predictor
from sagemaker.serializers import IdentitySerializer, JSONLinesSerializer, JSONSerializer
from sagemaker.session import Session


def connect(address):
    """Return a function that asks the server at an address."""
    runtime = boto3.client("sagemaker-runtime", endpoint_url=address)
    session = Session(sagemaker_runtime_client=runtime)

    def ask(content_type, accept, instances):
        predictor = Predictor("object2vec", sagemaker_session=session)
        data = instances if is_lines(content_type) else {"instances": instances}
        if content_type is None:
            predictor.serializer, data = IdentitySerializer(), body(None, instances)
        else:
            kind = JSONLinesSerializer if is_lines(content_type) else JSONSerializer
            predictor.serializer = kind(content_type=content_type)
        if accept is None:
            predictor.deserializer = BytesDeserializer()
            return parsed(content_type, predictor.predict(data).decode())
        if is_lines(accept):
            predictor.deserializer = JSONLinesDeserializer(accept=accept)
            return predictor.predict(data)
        predictor.deserializer = JSONDeserializer(accept=accept)
        return predictor.predict(data)["predictions"]

    return ask
