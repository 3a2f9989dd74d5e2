"""Where large tensors live on a CPU: the first touch of new memory costs as much as much arithmetic."""

import ctypes
import mmap
import sys
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

HUGE = 2**21  # bytes from which on a tensor is worth the trouble: a huge page


def room_beside(weight: Tensor, name: str, rows: int, row: Sequence[int], like: Tensor) -> Tensor:
    """An uninitialised tensor (rows, *row) for something that every step makes for a weight.

    It is in the memory that the last one of this name had if nothing else refers to that any more,
    as to a gradient after `zero_grad()`; so a large weight keeps that memory as long as it lives.
    """
    shape = torch.Size((rows, *row))
    nbytes = shape.numel() * like.itemsize
    if like.device.type != "cpu" or nbytes < HUGE or _alone() is None:
        return fresh(like, shape)
    kept = _SPARES.setdefault(weight, {})  # type: ignore[no-untyped-call]
    # taken out while it is looked at: another thread makes its own
    spare = kept.pop(name, None)
    fits = spare is not None and (spare.shape, spare.dtype) == (shape, like.dtype)
    if not fits or in_use(spare):
        spare = fresh(like, shape)
    room: Tensor = spare.detach()  # autograd takes a gradient as it is only if none refers to it
    kept[name] = spare
    return room


_SPARES: "WeakTensorKeyDictionary" = WeakTensorKeyDictionary()


def in_use(tensor: Tensor) -> bool:
    """Another tensor shares the memory of this one."""
    return _uses(tensor) != _alone()


def _alone() -> int | None:
    return _uses(torch.empty(1))


def _uses(tensor: Tensor) -> int | None:
    """How many refer to the memory of a tensor; None if this torch does not tell."""
    count = getattr(torch._C, "_storage_Use_Count", None)
    storage = _storage(tensor)
    return None if count is None or storage is None else count(storage._cdata)


def _storage(tensor: Tensor) -> torch.UntypedStorage | None:
    """The memory of a tensor; None inside a transform of torch.func, where it has none of its own."""
    try:
        return tensor.untyped_storage()
    except NotImplementedError:
        return None


def fresh(like: Tensor, shape: Sequence[int]) -> Tensor:
    """An uninitialised tensor of the same dtype and device; on Linux with huge pages if it is large.

    The first touch of new memory costs a fault a page. With pages of 2 MiB in place of 4 KiB this is
    a fifth of the time (15 ms of 81 ms for 205 MB). It is a hint, and nothing depends on it.
    """
    found = like.new_empty(shape)
    if found.device.type == "cpu" and found.nbytes >= HUGE and sys.platform == "linux":
        _advise(found)
    return found


def _advise(tensor: Tensor) -> None:
    if _storage(tensor) is None:
        return
    page = mmap.PAGESIZE
    start = -(-tensor.data_ptr() // page) * page
    length = (tensor.data_ptr() + tensor.nbytes - start) // page * page
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is not None:
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_HUGEPAGE)
