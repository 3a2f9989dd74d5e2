"""By which number the best network of a run is kept: one of those that strangers are judged by."""

from recognition.errors import InputError
from recognition.evaluation.strangers import FMR_TARGETS, FPIR_TARGETS
from recognition.training.config_checks import nearest, said

TAR = tuple(f"tar@fmr={target:g}" for target in FMR_TARGETS)
FNIR = tuple(f"fnir@fpir={target:g}" for target in FPIR_TARGETS)
HIGHER_IS_BETTER = {
    "eer": False,
    "auc": True,
    "rank1": True,
    **dict.fromkeys(TAR, True),
    **dict.fromkeys(FNIR, False),
}


def check_metric(name: str) -> None:
    """Refuse what `evaluate_strangers` does not measure, or does not call good or bad.

    Raises:
        InputError: such a metric.
    """
    if name in HIGHER_IS_BETTER:
        return
    for rate, there in (("TAR", TAR), ("FNIR", FNIR)):
        start = there[0].partition("=")[0]
        if name.startswith(f"{start}="):
            raise InputError(
                f"validation.metric: {said(name)} is not measured; {rate} is at "
                f"{', '.join(there)}; name one of these"
            )
    known = nearest(name, HIGHER_IS_BETTER)
    raise InputError(f"validation.metric: {said(name)} is not known; {known}")
