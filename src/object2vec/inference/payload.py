"""What requests, responses and files are: their media types, and the unit of their sizes."""

JSON, JSON_LINES = "application/json", "application/jsonlines"
MIB = 1 << 20
