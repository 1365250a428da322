"""boto3: the client of the service's runtime."""

import boto3
from forms import body, parsed


def connect(address):
    """Return a function that asks the server at an address."""
    runtime = boto3.client("sagemaker-runtime", endpoint_url=address)

    def ask(content_type, accept, instances):
        types = {"ContentType": content_type, "Accept": accept}
        response = runtime.invoke_endpoint(
            EndpointName="object2vec",
            Body=body(content_type, instances),
            **{name: value for name, value in types.items() if value},
        )
        return parsed(accept or content_type, response["Body"].read().decode())

    return ask
