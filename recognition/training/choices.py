"""Scale and margin of every head: what is tried, and what was found on the drawn faces.

A head that is named without options gets the values found here. They were chosen on people who
are neither trained on nor tested on, nine trials for each head, by

    recognition compare --tune --steps 500

The lowest equal error rate on the 50 tuning people decided. Differences of a few tenths of a point
between neighbouring settings are noise; the scale matters more than the margin.
"""

# the papers' schedules, shortened to a few hundred steps
ANNEALED = "annealed:base=100,power=1.5,minimum=1"

TRIALS = {
    "softmax": [f"softmax:s={s}" for s in (0.03, 0.06, 0.09, 0.125, 0.18, 0.25, 0.5, 1, 2)],
    "normface": [f"normface:s={s}" for s in (3, 4, 6, 8, 10, 12, 16, 24, 32)],
    "lsoftmax": [f"lsoftmax:m={m},s={s}+{ANNEALED}" for m in (2, 3, 4) for s in (0.25, 0.5, 1)],
    "sphereface": [
        f"sphereface:m={m},s={s}+{ANNEALED}" for m in (1.35, 1.7, 2) for s in (0.25, 0.5, 1)
    ],
    "smsoftmax": [f"smsoftmax:m={m},s={s}" for m in (0.5, 1, 2) for s in (0.06, 0.125, 0.25)],
    "cosface": [f"cosface:m={m},s={s}" for m in (0.1, 0.2, 0.35) for s in (6, 10, 16)],
    "arcface": [f"arcface:m={m},s={s}" for m in (0.2, 0.4, 0.6) for s in (6, 10, 16)],
}
TRIALS["amsoftmax"] = [spec.replace("cosface", "amsoftmax") for spec in TRIALS["cosface"]]

FOUND = {
    "softmax": "softmax:s=0.09",
    "normface": "normface:s=8",
    "lsoftmax": f"lsoftmax:m=2,s=0.5+{ANNEALED}",
    "sphereface": f"sphereface:m=1.35,s=0.25+{ANNEALED}",
    "smsoftmax": "smsoftmax:m=2,s=0.125",
    "amsoftmax": "amsoftmax:m=0.35,s=6",
    "cosface": "cosface:m=0.35,s=6",
    "arcface": "arcface:m=0.4,s=10",
}

# AM-Softmax is CosFace's formula: with the same values it is the same head to the last digit
DEFAULT_HEADS = ("softmax", "normface", "lsoftmax", "sphereface", "smsoftmax", "cosface", "arcface")
