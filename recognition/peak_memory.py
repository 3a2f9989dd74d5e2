"""How much memory this process has used at most."""

import sys

GIB = 2**30


def peak_gib() -> float | None:
    """The most resident memory since the process began, in GiB; None where no system tells.

    Linux counts kibibytes and macOS bytes; Windows does not tell.
    """
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB
