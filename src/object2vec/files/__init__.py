"""Bytes: where they come from, and how they appear whole or not at all; nothing knows models."""
