"""Search among the people enrolled and among all pictures: exact, a block of scores at a time."""

from recognition.metrics.searches import pool
from recognition.search.growth import Growth, grow_gallery, pool_growth
from recognition.search.identify import search_people
from recognition.search.neighbours import rank_relevant

__all__ = ["Growth", "grow_gallery", "pool", "pool_growth", "rank_relevant", "search_people"]
