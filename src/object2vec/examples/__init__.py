"""The demo that ships with the package: its task, its baseline, its story."""
