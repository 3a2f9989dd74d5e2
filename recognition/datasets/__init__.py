"""Readers of pictures: image folders, drawn faces, scikit-learn's fetchers."""
