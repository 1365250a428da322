"""The two forms of requests and answers, as one writes and reads them by hand."""

import json


def body(content_type, instances):
    """Return instances as a client without serializers writes them."""
    if is_lines(content_type):
        return "\n".join(json.dumps(instance) for instance in instances)
    if content_type == "text/csv":
        return "".join(",".join(values) + "\n" for values in instances)
    return json.dumps({"instances": instances})


def parsed(content_type, text):
    """Return the predictions in the body of an answer."""
    if is_lines(content_type):
        return [json.loads(line) for line in text.splitlines()]
    return json.loads(text)["predictions"]


def is_lines(content_type):
    """Whether a content type is that of JSON Lines."""
    return (content_type or "").startswith("application/jsonlines")
