"""What bad input gets: one sentence that says what was expected, what came, and the way out."""

import re

import pytest
import torch

from margin_losses import (
    INNER_PRODUCT,
    NORM_COSINE,
    AdaFace,
    Annealed,
    ArcFace,
    CombinedMargin,
    CosFace,
    CurricularFace,
    Detached,
    ElasticArcFace,
    ElasticCosFace,
    HeadSpec,
    LSoftmax,
    MagFace,
    MarginHead,
    MVArcFace,
    MVSoftmax,
    PerClass,
    SMSoftmax,
    SphereFace,
    SphereFaceR,
    margin_softmax,
    parse_margin,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arcfase", "unknown margin 'arcfase'; did you mean 'arcface'? known: softmax, normface"),
        ("", "unknown margin ''; known: softmax"),
        ("arcface:q=1", "arcface has no option 'q'; known: m, past, s, k"),
        ("arcface:k=0", "expected a whole number 1 <= K <= 100"),
        (
            "arcface:past=gone",
            "option past: expected one of paper, linear, clipped, easy, continuous",
        ),
        ("arcface:scale=16", "did you mean 's'? known: m, past, s, k"),
        ("arcface:m=0.5,m=0.6", "option m is given twice"),
        ("arcface:", "expected name:option=value,..., got ''"),
        ("arcface:m", "expected name:option=value,..., got 'm'"),
        ("arcface:m=half", "option m: expected a number, got 'half'"),
        ("arcface:m=nan", "option m: expected a finite number, got 'nan'"),
        ("lsoftmax:m=1.5", "option m: expected a whole number, got '1.5'"),
        ("arcface:s=0", "expected a number 0 < s <= 1000"),
        ("arcface:s=-64", "got -64"),
        ("sphereface+aneal", "unknown wrapper 'aneal'; did you mean 'annealed'?"),
        ("sphereface+annealed:start=3", "annealed has no option 'start'; known: base, gamma"),
        ("sphereface+annealed:base=-1", "Annealed: expected a finite base >= 0, got -1"),
        ("spherefacer:form=v3", "option form: expected one of v0, v1, v2, got 'v3'"),
        ("mvsoftmax:form=easy", "option form: expected one of adaptive, fixed, got 'easy'"),
        ("adaface:past=linear", "option past: expected one of clipped, paper, got 'linear'"),
        ("combinedmargin:past=easy", "unknown past='easy'; known: paper, clipped, continuous"),
        ("elasticarc", "unknown margin 'elasticarc'; did you mean 'elasticarcface'?"),
        ("adacos:m=0.5", "adacos has no option 'm'; known: s, k"),
    ],
)
def test_a_wrong_name_says_what_is_known(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        HeadSpec.parse(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ArcFace(28.6), "if 28.6 is in degrees, m=0.4992 is the same angle"),
        (lambda: ArcFace(-0.5), "expected 0 <= m <= 1.571, got -0.5"),
        (lambda: ArcFace(float("nan")), "expected 0 <= m <= 1.571, got nan"),
        (lambda: CosFace(20), "CosFace: m is subtracted from a cosine, expected 0 <= m <= 2"),
        (lambda: SphereFace(0.5), "SphereFace: m multiplies the angle, expected 1 <= m <= 16"),
        (lambda: LSoftmax(0), "expected 1 <= m <= 16, got 0"),
        (lambda: LSoftmax(1.5), "expected a whole number m >= 1, got 1.5"),
        (lambda: SMSoftmax(-1), "expected 0 <= m <= 1000, got -1"),
        (lambda: Annealed(ArcFace(), minimum=float("inf")), "expected a finite minimum"),
        (lambda: ArcFace(past="later"), "ArcFace: unknown past='later'; known: paper, linear"),
        (lambda: CombinedMargin(m2=30), "if 30 is in degrees, m2=0.5236 is the same angle"),
        (lambda: SphereFaceR(0.9), "SphereFaceR: m multiplies the angle, expected 1 <= m <= 16"),
        (lambda: SphereFaceR(form="v4"), "SphereFaceR: unknown form='v4'; known: v0, v1, v2"),
        (lambda: CurricularFace(28.6), "CurricularFace: m is an angle in radians"),
        (lambda: CurricularFace(past="gone"), "CurricularFace: unknown past='gone'"),
        (lambda: CurricularFace(momentum=1.5), "expected 0 <= momentum <= 1, got 1.5"),
        (lambda: CurricularFace(momentum=float("nan")), "expected 0 <= momentum <= 1, got nan"),
        (lambda: MVSoftmax(m=-0.1), "MVSoftmax: m is subtracted from a cosine"),
        (lambda: MVSoftmax(t=0.2), "MVSoftmax: t makes hard negatives heavier, expected 1 <= t"),
        (lambda: MVSoftmax(form="paper"), "unknown form='paper'; known: adaptive, fixed"),
        (lambda: MVArcFace(t=11), "expected 1 <= t <= 10, got 11"),
        (lambda: MVArcFace(m=2), "expected 0 <= m <= 1.571, got 2"),
        (lambda: AdaFace(22.9), "if 22.9 is in degrees, m=0.3997"),
        (lambda: AdaFace(h=-1), "AdaFace: h multiplies the standardised length, expected 0 <= h"),
        (lambda: AdaFace(alpha=2), "expected 0 <= alpha <= 1, got 2"),
        (lambda: AdaFace(past="linear"), "unknown past='linear'; known: clipped, paper"),
        (lambda: MagFace(lower_margin=25), "if 25 is in degrees, lower_margin=0.4363"),
        (lambda: MagFace(lower_margin=0.9), "MagFace: expected lower_margin <= upper_margin and"),
        (
            lambda: MagFace(lower_norm=110.0),
            "lower_norm < upper_norm, got 0.45 and 0.8, 110 and 110",
        ),
        (lambda: MagFace(lower_norm=0), "expected 0.001 <= lower_norm <= 1e+06, got 0"),
        (lambda: MagFace(upper_norm=float("inf")), "upper_norm <= 1e+06, got inf"),
        (
            lambda: MagFace(weight=-1),
            "MagFace: weight multiplies the penalty, expected 0 <= weight",
        ),
        (lambda: MagFace(past="gone"), "MagFace: unknown past='gone'"),
        (lambda: ElasticArcFace(sigma=-0.1), "expected 0 <= sigma <= 1, got -0.1"),
        (lambda: ElasticArcFace(m=28.6), "if 28.6 is in degrees"),
        (lambda: ElasticCosFace(sigma=float("nan")), "expected 0 <= sigma <= 1, got nan"),
        (lambda: ElasticCosFace(m=20), "ElasticCosFace: m is subtracted from a cosine"),
        (lambda: Detached(ArcFace), "Detached: expected a margin like ArcFace(), got <class"),
        (lambda: PerClass("arcface"), "PerClass: expected a margin like ArcFace(), got 'arcface'"),
        (lambda: PerClass(MagFace(), (0.5,)), "a single m makes for the own class alone"),
        (lambda: PerClass(CombinedMargin(), (0.5,)), "like ArcFace(), got CombinedMargin("),
        (lambda: PerClass(CurricularFace(), (0.5,)), "got CurricularFace("),
        (lambda: PerClass(SphereFaceR(form="v2"), (2.0,)), "got SphereFaceR("),
        (lambda: PerClass(ElasticArcFace(), (0.5,)), "got ElasticArcFace("),
        (lambda: PerClass(Annealed(ArcFace()), (0.5,)), "got Annealed("),
        (lambda: PerClass(ArcFace(), (0.2, 28.6, 0.3)), "if 28.6 is in degrees, m=0.4992"),
        (lambda: PerClass(ArcFace(), (0.2, float("nan"), 0.3)), "<= 1.571, got nan"),
        (lambda: PerClass(CosFace(), (0.2, -0.1)), "expected 0 <= m <= 2, got -0.1"),
        (lambda: PerClass(LSoftmax(), (2, 2.5, 3)), "a whole number m >= 1, got 2.5"),
        (
            lambda: MarginHead(4, 3, PerClass(ArcFace(), (0.2, 0.3))),
            "PerClass: expected one m for each of the 3 classes, got 2",
        ),
        (
            lambda: MarginHead(4, 1, PerClass(ArcFace())),
            "expected one m for each of the 1 classes, got 0",
        ),
        (
            lambda: MarginHead(0, 5, "arcface"),
            "expected whole numbers embedding_dim >= 1 and num_classes",
        ),
        (lambda: MarginHead(4, 0, "arcface"), "got 4 and 0"),
        (lambda: MarginHead(4.0, 5, "arcface"), "got 4.0 and 5"),
        (lambda: MarginHead(4, 5, ArcFace), "expected a margin like ArcFace(m=0.5), or its name"),
        (lambda: MarginHead(4, 5, 0.5), "or its name, got 0.5"),
        (lambda: MarginHead(4, 5, "arcface", scale="64"), "expected a number 0 < s <= 1000"),
        (lambda: Annealed("sphereface"), "expected a margin like ArcFace(), got 'sphereface'"),
        (lambda: Annealed(ArcFace(), gamma=-1), "expected a finite gamma >= 0, got -1"),
        (lambda: Annealed(ArcFace(), power=-1), "expected a finite power >= 0, got -1"),
        (lambda: LSoftmax(True), "expected a whole number m >= 1, got True"),
        (lambda: MarginHead(4, 5, "arcface", scale=float("nan")), "got nan"),
        (lambda: MarginHead(4, 5, "arcface:s=16", scale=32), "scale given twice"),
        (lambda: MarginHead(4, 5, "arcface", bias=True), "has no bias in its formula"),
        (lambda: parse_margin("arcface:s=16"), "leave out s="),
    ],
)
def test_a_senseless_number_is_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.ones(2, 4), torch.tensor([0, 5]), "expected 0 <= label < 5 (num_classes), got 5"),
        (torch.ones(2, 4), torch.tensor([-1, 0]), "got -1"),
        (torch.ones(2, 4), torch.tensor([0.0, 1.0]), "expected whole numbers (torch.long)"),
        (torch.ones(2, 4), torch.tensor([0j, 1]), "got torch.complex64"),
        (torch.ones(2, 4), [0, 1], "expected a torch tensor, got list"),
        (torch.ones(2, 4), torch.tensor([[0], [1]]), "expected shape (2,)"),
        ([[1.0] * 4], torch.tensor([0]), "expected a torch tensor, got list"),
        (torch.ones(2, 0), torch.tensor([0, 1]), "got (2, 0)"),
        (torch.ones(2, 4, dtype=torch.complex64), torch.tensor([0, 1]), "take .real"),
        (torch.ones(2, 4), torch.tensor([True, False]), "got torch.bool"),
        (torch.ones(2, 4), torch.tensor([0]), "expected shape (2,), one per embedding, got (1,)"),
        (torch.ones(2, 3), torch.tensor([0, 1]), "this head takes 4 numbers each, got 3"),
        (torch.ones(0, 4), torch.tensor([]), "at least one row, got (0, 4)"),
        (torch.ones(4), torch.tensor([0]), "expected a batch of shape (B, D)"),
        (torch.ones(2, 4, dtype=torch.int64), torch.tensor([0, 1]), "call .float()"),
        (torch.tensor([[1.0] * 4, [float("nan")] * 4]), torch.tensor([0, 1]), "in row 1"),
        (torch.tensor([[float("inf")] * 4]), torch.tensor([0]), "NaN or infinity in row 0"),
    ],
)
def test_a_bad_batch_is_refused(x: torch.Tensor, y: torch.Tensor, message: str) -> None:
    head = MarginHead(4, 5, "arcface")
    with pytest.raises(ValueError, match=re.escape(message)):
        head(x, y)


@pytest.mark.parametrize(
    ("weight", "labels", "margin", "message"),
    [
        (torch.ones(5, 4), torch.tensor([0, -100]), ArcFace(), "got -100"),
        (torch.ones(5, 4), torch.tensor([[0], [1]]), ArcFace(), "expected shape (2,)"),
        (torch.ones(5, 5), torch.tensor([0, 1]), LSoftmax(), "takes (C, 4) for these embeddings"),
        (torch.ones(5, 6), torch.tensor([0, 1]), SMSoftmax(), "takes (C, 4 or 5)"),
        (torch.ones(5, 4).long(), torch.tensor([0, 1]), ArcFace(), "weight: expected a floating"),
        (torch.ones(0, 4), torch.tensor([0, 1]), ArcFace(), "got (0, 4)"),
    ],
)
def test_the_function_checks_as_the_head_does(weight, labels, margin, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        margin_softmax(torch.ones(2, 4), weight, labels, margin)


@pytest.mark.parametrize("geometry", [INNER_PRODUCT, NORM_COSINE], ids=str)
@pytest.mark.parametrize(
    "margin", [CurricularFace(), MVSoftmax(), MVArcFace(), SphereFaceR(form="v2")], ids=repr
)
def test_margins_on_other_classes_cosines_want_cosines(margin, geometry) -> None:
    for refused in (margin, Detached(margin)):
        with pytest.raises(ValueError, match="looks at the other classes' cosines"):
            margin_softmax(
                torch.ones(2, 4), torch.ones(5, 4), torch.tensor([0, 1]), refused, geometry
            )


def test_a_form_that_leaves_the_other_classes_alone_takes_any_geometry() -> None:
    x, w, y = torch.ones(2, 4), torch.eye(4), torch.tensor([0, 1])
    for form in ("v0", "v1"):
        assert margin_softmax(x, w, y, SphereFaceR(form=form), NORM_COSINE).isfinite().all()


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 'mean', 'sum' or 'none', got 'max'"):
        MarginHead(4, 5, "arcface")(torch.ones(1, 4), torch.tensor([0]), reduction="max")
