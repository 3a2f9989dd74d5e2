"""Scale and margin of every head: what is tried, and what was found on the drawn faces.

A head that is named without options gets the values found here. Those of the default heads, and
AM-Softmax's, were chosen on people who are neither trained on nor tested on, nine trials for each
head, by

    recognition compare --tune --steps 500

The lowest equal error rate on the 50 tuning people decided. Differences of a few tenths of a point
between neighbouring settings are noise; the scale matters more than the margin. The other heads
take the values of the head they extend, ArcFace or CosFace; `--tune` searches theirs too.
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
# these extend a head, and try what it tries
LIKE = {
    "amsoftmax": "cosface",
    "elasticcosface": "cosface",
    "elasticcosfaceplus": "cosface",
    "mvsoftmax": "cosface",
    "subcenterarcface": "arcface",
    "curricularface": "arcface",
    "mvarcface": "arcface",
    "elasticarcface": "arcface",
    "elasticarcfaceplus": "arcface",
    "adaface": "arcface",
}
TRIALS |= {name: [spec.replace(like, name) for spec in TRIALS[like]] for name, like in LIKE.items()}
COMBINED = ("m1=1,m2=0.2,m3=0.1", "m1=1,m2=0.3,m3=0.2", "m1=0.9,m2=0.4,m3=0.15")
# the penalty's weight goes with the scale: 35 at s = 64 in the paper
MAGFACE = ("lower_margin=0.1,upper_margin=0.3", "lower_margin=0.2,upper_margin=0.6",
           "lower_margin=0.45,upper_margin=0.8")  # fmt: skip
TRIALS |= {
    "spherefacer": [f"spherefacer:m={m},s={s}" for m in (1.2, 1.5, 2) for s in (6, 10, 16)],
    "combinedmargin": [f"combinedmargin:{m},s={s}" for m in COMBINED for s in (6, 10, 16)],
    "magface": [f"magface:{m},weight={35 * s / 64:g},s={s}" for m in MAGFACE for s in (6, 10, 16)],
    "fixedadacos": ["fixedadacos"],  # they choose their scale and have no margin
    "adacos": ["adacos"],
}

FOUND = {
    "softmax": "softmax:s=0.09",
    "normface": "normface:s=8",
    "lsoftmax": f"lsoftmax:m=2,s=0.5+{ANNEALED}",
    "sphereface": f"sphereface:m=1.35,s=0.25+{ANNEALED}",
    "smsoftmax": "smsoftmax:m=2,s=0.125",
    "cosface": "cosface:m=0.35,s=6",
    "arcface": "arcface:m=0.4,s=10",
    "spherefacer": "spherefacer:m=1.5,s=10",
    "combinedmargin": "combinedmargin:m1=1,m2=0.3,m3=0.2,s=10",
    "magface": "magface:lower_margin=0.2,upper_margin=0.6,weight=5.46875,s=10",
    "fixedadacos": "fixedadacos",
    "adacos": "adacos",
}
FOUND |= {name: FOUND[like].replace(like, name) for name, like in LIKE.items()}

# AM-Softmax is CosFace's formula: with the same values it is the same head to the last digit
DEFAULT_HEADS = ("softmax", "normface", "lsoftmax", "sphereface", "smsoftmax", "cosface", "arcface")
