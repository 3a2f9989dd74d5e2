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
        "combinedmargin:m1=0.9,m2=0.4,m3=0.15": mp.cos(mp.mpf("0.9") * theta + mp.mpf("0.4"))
        - mp.mpf("0.15"),
        "combinedmargin:m1=1,m2=0.3,m3=0.2": mp.cos(theta + mp.mpf("0.3")) - mp.mpf("0.2"),
        **{f"sphereface:m={m}": psi(theta, mp.mpf(m)) for m in ("1.35", "1.7", "2", "3", "4")},
        "spherefacer:m=1.7,form=v0": psi(theta, mp.mpf("1.7")),
        "spherefacer:m=1.7,form=v1": mp.cos(mp.mpf("1.7") * theta),
        "elasticarcface:m=0.5": mp.cos(theta + mp.mpf("0.5")),
        "elasticcosface:m=0.35": mp.cos(theta) - mp.mpf("0.35"),
    }
    rows = [
        row(head, s, [40, 75, 120], s * value) for head, value in formulas.items() for s in (8, 64)
    ]
    return rows + [row("smsoftmax:m=2", s, [40, 75, 120], s * mp.cos(theta) - 2) for s in (8, 64)]


def hard_region_rows() -> list[dict]:
    """Where θ + m > π: what each policy, and each margin with one, makes of it."""
    m, theta = mp.mpf("0.5"), 160 * DEGREES
    policies = {
        "arcface:m=0.5": mp.cos(theta) - m * mp.sin(m),
        "arcface:m=0.5,past=paper": mp.cos(theta + m),
        "arcface:m=0.5,past=linear": mp.cos(theta) - m * mp.sin(m),
        "arcface:m=0.5,past=clipped": mp.mpf(-1),
        "arcface:m=0.5,past=easy": mp.cos(theta),
        "arcface:m=0.5,past=continuous": -2 - mp.cos(theta + m),
        "spherefacer:m=1.5,form=v0": psi(theta, mp.mpf("1.5")),
        "spherefacer:m=1.5,form=v1": mp.mpf(-1),
    }
    return [row(head, 8, [160, 75, 120], 8 * value) for head, value in policies.items()]


def adaface_rows() -> list[dict]:
    """h = 1, and statistics that make n̂ of a unit embedding what is wanted."""
    m, theta, rows = mp.mpf("0.4"), 40 * DEGREES, []
    for quality, mean in (("0.5", 0.5), ("-0.5", 1.5), ("0", 1), ("1", -1), ("-1", 3)):
        n = mp.mpf(quality)
        target = mp.cos(theta - m * n) - m - m * n
        state = {"norm_mean": mean, "norm_std": 0.999}
        rows += [
            row("adaface:m=0.4,h=1", s, [40, 75, 120], s * target, quality=float(n), state=state)
            for s in (8, 64)
        ]
    return rows


def magface_row() -> dict:
    """The embedding is 60 long: m = 0.625."""
    a, theta = mp.mpf(60), 40 * DEGREES
    m = mp.mpf("0.45") + mp.mpf("0.35") * (a - 10) / 100
    found = row("magface", 8, [40, 75, 120], 8 * mp.cos(theta + m), embedding_norm=60)
    penalty = 35 * (a / mp.mpf(110) ** 2 + 1 / a)
    return {**found, "loss": mp.nstr(mp.mpf(found["loss"]) + penalty, 30)}


def changed_negatives_rows() -> list[dict]:
    """At 60° from the own class, the one at 75° is a hard negative, the one at 120° is not."""
    theta, hard, easy = (a * DEGREES for a in (60, 75, 120))
    t, h = mp.mpf("1.12"), mp.mpf("0.3")
    cosface, arcface = mp.cos(theta) - mp.mpf("0.35"), mp.cos(theta + mp.mpf("0.5"))
    raised, shifted = t * mp.cos(hard) + t - 1, mp.cos(hard) + t - 1
    cases = [
        ("curricularface:m=0.5", arcface, mp.cos(hard) * (h + mp.cos(hard)), {"hardness": 0.3}),
        ("mvsoftmax:m=0.35,t=1.12", cosface, raised, {}),
        ("mvsoftmax:m=0.35,t=1.12,form=fixed", cosface, shifted, {}),
        ("mvarcface:m=0.5,t=1.12", arcface, raised, {}),
        ("mvarcface:m=0.5,t=1.12,form=fixed", arcface, shifted, {}),
    ]
    cases = [(head, own, [other, mp.cos(easy)], state) for head, own, other, state in cases]
    halved = [mp.cos(a / mp.mpf("1.5")) for a in (hard, easy)]
    cases.append(("spherefacer:m=1.5,form=v2", mp.cos(theta), halved, {}))
    rows = []
    for head, own, others, state in cases:
        for s in (8, 64):
            found = loss(s * own, [s * other for other in others])
            known = row(head, s, [60, 75, 120], s * own, state=state)
            rows.append({**known, "loss": mp.nstr(found, 30)})
    return rows


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
        "rows": cosine_rows()
        + hard_region_rows()
        + lsoftmax_rows()
        + adaface_rows()
        + [magface_row()]
        + changed_negatives_rows(),
    }
    Path(__file__).with_name("margins.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
