"""What requests, responses and files are: their media types, and the unit of their sizes."""

JSON, JSON_LINES, CSV = "application/json", "application/jsonlines", "text/csv"
MIB = 1 << 20
