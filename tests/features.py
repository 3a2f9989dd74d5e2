"""Measures of separability as their papers write them: float64, loops, slow and obviously right."""

import itertools
import math

import numpy as np


def some(seed, people=5, most=4, dim=4, spread=0.7):
    """Random embeddings of people with 1 to `most` pictures in mixed order; two at least of p0."""
    random = np.random.default_rng(seed)
    pictures = random.integers(1, most + 1, people)
    pictures[0] = max(2, pictures[0])
    labels = random.permutation(np.repeat([f"p{i}" for i in range(people)], pictures))
    centres = {f"p{i}": random.normal(size=dim) for i in range(people)}
    rows = np.array([centres[name] + spread * random.normal(size=dim) for name in labels])
    return rows * random.uniform(0.01, 100, (len(rows), 1)), labels


def unit(rows):
    return np.array([np.array(row, float) / math.sqrt(sum(x * x for x in row)) for row in rows])


def by_person(rows, labels):
    """{name: its unit rows}, by name."""
    return {
        name: np.array([x for x, y in zip(unit(rows), labels, strict=True) if y == name])
        for name in sorted(set(labels))
    }


def traces(rows, labels):
    """tr S_W and tr S_B."""
    everyone = unit(rows)
    m, n = everyone.mean(axis=0), len(everyone)
    groups = by_person(rows, labels).values()
    within = sum(((x - g.mean(axis=0)) ** 2).sum() for g in groups for x in g) / n
    between = sum(len(g) * ((g.mean(axis=0) - m) ** 2).sum() for g in groups) / n
    return within, between


def scatters(rows, labels):
    everyone = unit(rows)
    m, n = everyone.mean(axis=0), len(everyone)
    within = between = np.zeros((len(m), len(m)))
    for g in by_person(rows, labels).values():
        c = g.mean(axis=0)
        for x in g:
            within = within + np.outer(x - c, x - c) / n
        between = between + len(g) * np.outer(c - m, c - m) / n
    return within, between


def silhouettes(rows, labels):
    x = unit(rows)
    found = []
    for i in range(len(x)):
        distances = {}
        for j in range(len(x)):
            if i != j:
                distances.setdefault(labels[j], []).append(1 - x[i] @ x[j])
        own = distances.pop(labels[i], None)
        b = min(np.mean(each) for each in distances.values())
        a = np.mean(own) if own else None
        found.append(0.0 if own is None else (b - a) / max(a, b))
    return np.array(found)


def alignment(rows, labels):
    groups = by_person(rows, labels).values()
    return np.mean([((x - y) ** 2).sum() for g in groups for x, y in itertools.combinations(g, 2)])


def uniformity(rows, t=2.0):
    pairs = itertools.combinations(unit(rows), 2)
    return math.log(np.mean([math.exp(-t * ((x - y) ** 2).sum()) for x, y in pairs]))


def davies_bouldin(rows, labels):
    groups = list(by_person(rows, labels).values())
    m = [g.mean(axis=0) for g in groups]
    s = [np.mean([np.linalg.norm(x - c) for x in g]) for g, c in zip(groups, m, strict=True)]
    worst = [
        max((s[a] + s[b]) / np.linalg.norm(m[a] - m[b]) for b in range(len(m)) if b != a)
        for a in range(len(m))
    ]
    return np.mean(worst)


def nc1(rows, labels):
    """tr(S_W Σ_B⁺) / C, the centre that of the class means."""
    within, _ = scatters(rows, labels)
    means = np.array([g.mean(axis=0) for g in by_person(rows, labels).values()])
    gaps = means - means.mean(axis=0)
    between = sum(np.outer(g, g) for g in gaps) / len(gaps)
    return np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(gaps)


def nc2(rows, labels):
    means = np.array([g.mean(axis=0) for g in by_person(rows, labels).values()])
    gaps = means - means.mean(axis=0)
    lengths = [np.linalg.norm(g) for g in gaps]
    cosines = [
        gaps[a] @ gaps[b] / lengths[a] / lengths[b]
        for a, b in itertools.combinations(range(len(gaps)), 2)
    ]
    widest = np.mean([abs(c + 1 / (len(gaps) - 1)) for c in cosines])
    return np.std(lengths) / np.mean(lengths), np.std(cosines), widest


def cdnv(rows, labels):
    groups = [g for g in by_person(rows, labels).values() if len(g) > 1]
    means = [g.mean(axis=0) for g in groups]
    variances = [
        np.mean([((x - c) ** 2).sum() for x in g]) for g, c in zip(groups, means, strict=True)
    ]
    return np.mean(
        [
            (variances[a] + variances[b]) / (2 * ((means[a] - means[b]) ** 2).sum())
            for a, b in itertools.combinations(range(len(groups)), 2)
        ]
    )


def spectrum(rows):
    """Effective rank and participation ratio, from the eigenvalues of the covariance."""
    x = unit(rows)
    s = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    p = [value / s.sum() for value in s if value > 1e-12]
    rank = math.exp(-sum(q * math.log(q) for q in p))
    return rank, (s**2).sum() ** 2 / (s**4).sum()
