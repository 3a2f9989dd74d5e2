"""Scale and margin of every head: what is tried, and what was found on the drawn faces.

A head that is named without options gets the values found here. They were chosen on people who
are neither trained on nor tested on, nine trials for each head, by

    recognition compare --tune

The lowest equal error rate on the tuning people decided.
"""

ANNEALED = "annealed:base=100,power=1.5"  # the papers' schedules, shortened to a few hundred steps

TRIALS = {
    "softmax": [f"softmax:s={s}" for s in (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4)],
    "normface": [f"normface:s={s}" for s in (3, 4, 6, 8, 10, 12, 16, 24, 32)],
    "lsoftmax": [
        f"lsoftmax:m={m}+{ANNEALED},minimum={low}" for m in (2, 3, 4) for low in (1, 3, 10)
    ],
    "sphereface": [
        f"sphereface:m={m}+{ANNEALED},minimum={low}" for m in (1.35, 1.7, 2) for low in (0, 1, 3)
    ],
    "smsoftmax": [f"smsoftmax:m={m},s={s}" for m in (1, 2, 4) for s in (0.5, 1, 2)],
    "cosface": [f"cosface:m={m},s={s}" for m in (0.1, 0.2, 0.35) for s in (8, 12, 16)],
    "arcface": [f"arcface:m={m},s={s}" for m in (0.2, 0.4, 0.6) for s in (8, 12, 16)],
}
TRIALS["amsoftmax"] = [spec.replace("cosface", "amsoftmax") for spec in TRIALS["cosface"]]

FOUND = {
    "softmax": "softmax:s=1",
    "normface": "normface:s=8",
    "lsoftmax": f"lsoftmax:m=2+{ANNEALED},minimum=1",
    "sphereface": f"sphereface:m=2+{ANNEALED},minimum=1",
    "smsoftmax": "smsoftmax:m=2,s=1",
    "amsoftmax": "amsoftmax:m=0.2,s=12",
    "cosface": "cosface:m=0.2,s=12",
    "arcface": "arcface:m=0.4,s=12",
}

# AM-Softmax is CosFace's formula: with the same values it is the same head to the last digit
DEFAULT_HEADS = ("softmax", "normface", "lsoftmax", "sphereface", "smsoftmax", "cosface", "arcface")
