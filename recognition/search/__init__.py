"""Search among the people enrolled and among all pictures: exact, a block of scores at a time.

The only door to faiss, which proposes the nearest of many pictures.
"""

from recognition.metrics.searches import pool
from recognition.search.growth import Growth, grow_gallery, pool_growth
from recognition.search.identify import search_people
from recognition.search.neighbourhood import find_neighbours
from recognition.search.relevant_ranks import rank_relevant

__all__ = [
    "Growth",
    "find_neighbours",
    "grow_gallery",
    "pool",
    "pool_growth",
    "rank_relevant",
    "search_people",
]
