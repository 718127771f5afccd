"""What the processes of one training share: who each is, which clips are its own, and the features of them all.

Every process encodes its own part of a batch, gathers the features of the whole batch, and works out the whole loss.
Gradients that come back through `gather` are summed over processes, and averaged once more by DDP: what each
parameter receives is the gradient of the one loss over the global batch, as if one process had done it all.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

Rows = TypeVar("Rows", Sequence[Any], Tensor, NDArray[Any])


def rank() -> int:
    """Number of this process among those that train together; 0 if it trains alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def anywhere(flag: bool) -> bool:
    """Whether a flag is set on any process; all of them ask at the same moment."""
    if world_size() == 1:
        return flag
    told = torch.tensor([int(flag)], device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return bool(told)


def random_states() -> Tensor:
    """The state of each process's sources of randomness, (W, S) bytes: that of its CPU, then that of its GPU."""
    on_gpu = torch.cuda.is_available()
    states = [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if on_gpu else [])]
    return gather(torch.cat(states)[None].to("cuda" if on_gpu else "cpu")).cpu()


def set_random_state(states: Tensor) -> None:
    """Put this process's sources of randomness where `random_states` found them; there must have been as many."""
    own = states[rank()]
    on_cpu = len(torch.get_rng_state())
    torch.set_rng_state(own[:on_cpu].clone())  # of a view, torch would read the tensor's beginning
    if len(own) > on_cpu:
        torch.cuda.set_rng_state(own[on_cpu:].clone())


def own_share(items: Rows) -> Rows:
    """This process's part of a batch: consecutive items, so that gathered parts are in the batch's order.

    Parts differ by one item at most; with fewer items than processes some are empty.
    """
    return items[rank() * len(items) // world_size() : (rank() + 1) * len(items) // world_size()]


def gather(part: Tensor) -> Tensor:
    """Every process's rows, in the order of ranks, (B, ...); differentiable, and the same on every process.

    Of this process they are `part`, (B_r, ...); B_r may differ between processes.
    """
    if world_size() == 1:
        return part
    sizes = _every(torch.tensor(len(part), device=part.device)).tolist()
    room = part.new_zeros(max(sizes), *part.shape[1:])
    parts = _Gather.apply(torch.cat([part, room[len(part) :]]))
    return torch.cat([piece[:size] for piece, size in zip(parts.unbind(0), sizes, strict=True)])


def _every(part: Tensor) -> Tensor:
    parts = [torch.empty_like(part) for _ in range(world_size())]
    dist.all_gather(parts, part.contiguous())
    return torch.stack(parts)


class _Gather(torch.autograd.Function):
    """All processes' tensors, stacked; the gradient of one's own is summed over all that used it."""

    @staticmethod
    def forward(ctx: object, part: Tensor) -> Tensor:
        return _every(part)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        total = gradient.contiguous()
        dist.all_reduce(total)
        return total[rank()]
