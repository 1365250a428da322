"""The media types of requests and responses, of files to transform and of their predictions."""

JSON, JSON_LINES = "application/json", "application/jsonlines"
