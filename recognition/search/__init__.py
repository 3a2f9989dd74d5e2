"""Search among the people enrolled and among all pictures: exact, or by an index.

The only door to faiss, which proposes the nearest of many pictures.
"""

from typing import TYPE_CHECKING

from recognition.lazy_names import load_on_use

if TYPE_CHECKING:
    from recognition.search.bench import Bench, bench_indexes
    from recognition.search.distractors import rank_among_distractors
    from recognition.search.growth import Growth, grow_gallery, pool_growth
    from recognition.search.identify import search_people
    from recognition.search.index_kinds import Exact, Hnsw, Ivf, Kind, parse_kind
    from recognition.search.neighbourhood import find_neighbours
    from recognition.search.relevant_ranks import rank_relevant
    from recognition.search.templates import score_templates

_HOME = {
    "Bench": "bench",
    "Exact": "index_kinds",
    "Growth": "growth",
    "Hnsw": "index_kinds",
    "Ivf": "index_kinds",
    "Kind": "index_kinds",
    "bench_indexes": "bench",
    "find_neighbours": "neighbourhood",
    "grow_gallery": "growth",
    "parse_kind": "index_kinds",
    "pool_growth": "growth",
    "rank_among_distractors": "distractors",
    "rank_relevant": "relevant_ranks",
    "score_templates": "templates",
    "search_people": "identify",
}

__all__ = [
    "Bench",
    "Exact",
    "Growth",
    "Hnsw",
    "Ivf",
    "Kind",
    "bench_indexes",
    "find_neighbours",
    "grow_gallery",
    "parse_kind",
    "pool_growth",
    "rank_among_distractors",
    "rank_relevant",
    "score_templates",
    "search_people",
]

if not TYPE_CHECKING:  # which would believe in any name
    __getattr__, __dir__ = load_on_use(__name__, _HOME)
