"""SageMaker Python SDK v3: Endpoint.invoke, with and without serializers."""

import os

from forms import body, is_lines, parsed


def connect(address):
    """Return a function that asks the server at an address."""
    os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = address
    from sagemaker.core.deserializers import JSONDeserializer, JSONLinesDeserializer
    from sagemaker.core.resources import Endpoint
    from sagemaker.core.serializers import JSONLinesSerializer, JSONSerializer

    def ask(content_type, accept, instances):
        types = {"content_type": content_type, "accept": accept}
        types = {name: value for name, value in types.items() if value}
        endpoint = Endpoint(endpoint_name="object2vec")
        if len(types) < 2:
            output = endpoint.invoke(body=body(content_type, instances), **types)
            return parsed(output.content_type, output.body.read().decode())
        is_written, is_read = is_lines(content_type), is_lines(accept)
        endpoint.serializer = JSONLinesSerializer() if is_written else JSONSerializer()
        endpoint.deserializer = JSONLinesDeserializer() if is_read else JSONDeserializer()
        data = instances if is_written else {"instances": instances}
        answer = endpoint.invoke(body=data, **types).body
        return answer if is_read else answer["predictions"]

    return ask
