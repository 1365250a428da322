"""One run told several ways: as a live display, as plain lines, as JSON, as AWS's log."""
