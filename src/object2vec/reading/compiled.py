"""The compiled code of reading: without it everything is read too, only slower."""

from object2vec.compiled import Programs

compiled_programs = Programs(
    "object2vec.reading.programs", "object2vec.reading", "Records are read"
)
