"""Search among the people enrolled: the only door to faiss."""

from recognition.metrics.identification import pool
from recognition.search.identify import search_people

__all__ = ["pool", "search_people"]
