"""Recompute tests/golden/margins.json with mpmath, 30 digits: python tests/golden/make_margins.py."""

import json
from pathlib import Path

import mpmath as mp

mp.mp.dps = 40
DEGREES = mp.pi / 180


def psi(theta: mp.mpf, m: mp.mpf) -> mp.mpf:
    k = min(int(mp.floor(theta * m / mp.pi)), int(mp.ceil(m)) - 1)
    return (-1) ** k * mp.cos(m * theta) - 2 * k


def loss(target: mp.mpf, others: list[mp.mpf]) -> mp.mpf:
    return mp.log1p(sum(mp.exp(z - target) for z in others))


def row(head: str, scale: float, angles: list[int], target: mp.mpf, **more: object) -> dict:
    others = [scale * mp.cos(a * DEGREES) for a in angles[1:]]
    return {
        "head": head,
        "scale": scale,
        "angles": angles,
        **more,
        "target": mp.nstr(target, 30),
        "loss": mp.nstr(loss(target, others), 30),
    }


def cosine_rows() -> list[dict]:
    theta = 40 * DEGREES
    formulas = {
        "normface": mp.cos(theta),
        "amsoftmax:m=0.35": mp.cos(theta) - mp.mpf("0.35"),
        "cosface:m=0.35": mp.cos(theta) - mp.mpf("0.35"),
        "arcface:m=0.5": mp.cos(theta + mp.mpf("0.5")),
        **{f"sphereface:m={m}": psi(theta, mp.mpf(m)) for m in ("1.35", "1.7", "2", "3", "4")},
    }
    rows = [
        row(head, s, [40, 75, 120], s * value) for head, value in formulas.items() for s in (8, 64)
    ]
    rows += [row("smsoftmax:m=2", s, [40, 75, 120], s * mp.cos(theta) - 2) for s in (8, 64)]
    half, steep = mp.mpf("0.5"), 160 * DEGREES
    past = mp.cos(steep) - half * mp.sin(half)
    return [*rows, row("arcface:m=0.5", 8, [160, 75, 120], 8 * past)]


def lsoftmax_rows() -> list[dict]:
    norms, length = (2, 1, 3), mp.mpf("1.5")
    theta = 40 * DEGREES
    others = [n * length * mp.cos(a * DEGREES) for n, a in zip(norms[1:], (75, 120), strict=True)]
    rows = []
    for kept in (0, 5):
        for m in (1, 2, 3, 4):
            plain = norms[0] * length * mp.cos(theta)
            target = (kept * plain + norms[0] * length * psi(theta, mp.mpf(m))) / (1 + kept)
            rows.append(
                {
                    "head": f"lsoftmax:m={m}",
                    "lambda": kept,
                    "angles": [40, 75, 120],
                    "weight_norms": norms,
                    "embedding_norm": 1.5,
                    "target": mp.nstr(target, 30),
                    "loss": mp.nstr(loss(target, others), 30),
                }
            )
    return rows


def main() -> None:
    golden = {
        "source": "the papers' equations evaluated with mpmath at 40 digits, printed to 30",
        "command": "python tests/golden/make_margins.py",
        "inputs": "angles in degrees from the embedding to classes 0, 1, 2; the label is 0",
        "rows": cosine_rows() + lsoftmax_rows(),
    }
    Path(__file__).with_name("margins.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
