"""Kinds of field, one small file each: what a column of a table holds."""
