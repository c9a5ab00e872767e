"""Training, with or without labels, that can be killed after any epoch and goes on to the same result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from tqdm import tqdm

from pyredund.embed.augment import Augment, view
from pyredund.embed.batches import Block
from pyredund.embed.loss import Loss
from pyredund.embed.stored import read_tensors, write_tensors

WARM_UP = 0.1  # of all steps, during which the rate rises
WEIGHT_DECAY = 1e-4
CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Plan:
    """What decides the result of training, apart from the images and the network's first weights."""

    epochs: int
    batch: int
    temperature: float
    learning_rate: float
    seed: int
    classes: int  # 0 without labels
    images: str  # a digest of what is trained on

    def batches(self, n: int, epoch: int) -> tuple[list[NDArray[np.int64]], int]:
        """Positions of each batch of an epoch, as equal in size as can be, and a seed for what torch draws in it."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(n).astype(np.int64)
        return np.array_split(order, math.ceil(n / self.batch)), int(rng.integers(1 << 62))


Schedule = Callable[[int, int], float]


def warm_cosine(step: int, steps: int) -> float:
    """Share of the highest learning rate: up in a straight line, then down along half a cosine."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class Recipe(NamedTuple):
    """What of training anyone may replace by a function of their own; to resume, pass the same."""

    augment: Augment
    loss: Loss
    schedule: Schedule


def train(
    network: Any,
    head: Any,
    plan: Plan,
    recipe: Recipe,
    n: int,
    read: Callable[[list[NDArray[np.int64]]], Iterator[Block]],
    labels: NDArray[np.int64] | None,
    device: Any,
    folder: Path | None,
    resume: bool,
    progress: bool,
) -> list[float]:
    """Train a network in place; the mean loss of each epoch.

    Parameters
    ----------
    network : ImageNetwork
        What is trained.
    head : nn.Module or None
        From embeddings to classes; None trains without labels.
    plan : Plan
        How.
    recipe : Recipe
        One random view, the loss without labels, and the learning rate's course.
    n : int
        Images.
    read : callable
        From the positions of batches to blocks, in their order.
    labels : ndarray of int64, shape (n,), or None
        Class of each position.
    device : torch.device
        Where.
    folder : Path or None
        Where the state is kept after each epoch.
    resume : bool
        Go on from that state, if there is one.
    progress : bool
        A bar on standard error.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    parts = torch.nn.ModuleList([network] if head is None else [network, head])
    optimizer = torch.optim.AdamW(parts.parameters(), lr=plan.learning_rate, weight_decay=WEIGHT_DECAY)
    losses = _restore(folder, plan, parts, optimizer) if resume and folder is not None else []
    steps_each = math.ceil(n / plan.batch)
    steps = plan.epochs * steps_each
    on_gpu = device.type == "cuda"
    parts.train()
    with (
        torch.random.fork_rng(devices=[device] if on_gpu else []),  # the caller's random numbers stay as they are
        tqdm(total=steps, initial=len(losses) * steps_each, desc="training", unit="batch", disable=not progress) as bar,
    ):
        for epoch in range(len(losses), plan.epochs):
            batches, seed = plan.batches(n, epoch)
            torch.manual_seed(seed)
            total, counted = torch.zeros((), device=device), 0
            for number, block in enumerate(read(batches)):
                bar.update()
                if len(block.positions) < 2:
                    continue  # nothing to compare with, and no variance for batch normalisation
                for group in optimizer.param_groups:
                    group["lr"] = plan.learning_rate * recipe.schedule(epoch * steps_each + number, steps)
                images = block.tensor(device).float().div_(255)
                with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
                    first = network(view(images, recipe.augment))
                    if head is None:
                        loss = recipe.loss(first, network(view(images, recipe.augment)), plan.temperature)
                    else:
                        assert labels is not None
                        targets = torch.from_numpy(labels[block.positions]).to(device)
                        loss = functional.cross_entropy(head(first).float(), targets)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                total, counted = total + loss.detach(), counted + 1
            losses.append(float(total) / max(1, counted))
            bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.3f}")
            if not math.isfinite(losses[-1]):
                raise ValueError(
                    f"learning_rate={plan.learning_rate} is too high: the loss of epoch {epoch + 1} is NaN"
                )
            if folder is not None:
                _keep(folder, plan, parts, optimizer, losses)
    parts.eval()
    return losses


def _keep(folder: Path, plan: Plan, parts: Any, optimizer: Any, losses: list[float]) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in parts.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    write_tensors(folder / CHECKPOINT, "checkpoint", tensors, {"plan": asdict(plan), "losses": losses})


def _restore(folder: Path, plan: Plan, parts: Any, optimizer: Any) -> list[float]:
    """Put back the state of an earlier run with the same plan; the losses of its epochs, none if there is no state."""
    path = folder / CHECKPOINT
    if not path.is_file():
        return []
    tensors, settings = read_tensors(path, "checkpoint")
    for name, value in asdict(plan).items():
        if settings["plan"].get(name) != value:
            made = f"with {name}={settings['plan'].get(name)}, now it is {value}"
            raise ValueError(
                f"resume=True needs the settings of the interrupted run: {path} was made "
                f"{'of other images' if name == 'images' else made}; pass resume=False to start anew"
            )
    prefix = "network."
    try:
        parts.load_state_dict({name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)})
    except RuntimeError as error:
        raise ValueError(
            f"resume=True needs the backbone of the interrupted run; {path} holds another: {error}"
        ) from None
    state: dict[int, dict[str, Any]] = {}
    parameters = list(parts.parameters())
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            like = parameters[int(number)]
            # in the parameter's memory layout: sums in another order would round differently
            kept = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
            state.setdefault(int(number), {})[key] = kept.detach()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return [float(loss) for loss in settings["losses"]]
