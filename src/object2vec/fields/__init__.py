"""From the columns of a user's table to objects of ids: kinds, vocabularies, schema."""
