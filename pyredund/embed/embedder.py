"""Embedder: from anyone's images to unit rows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pyredund._checks import check_choice, check_int
from pyredund.embed import build
from pyredund.embed.arguments import check_positive, device_named, raise_first
from pyredund.embed.augment import Augment, default_augment
from pyredund.embed.decode import MAX_PIXELS
from pyredund.embed.embedded import EmbeddedImages, FinishedBlocks
from pyredund.embed.forward import embedded_blocks
from pyredund.embed.images import ImageSource, Skipped, common_shape, image_source
from pyredund.embed.loss import Loss, nt_xent
from pyredund.embed.network import BACKBONES, HEADS, SMALL
from pyredund.embed.stored import read_tensors, write_tensors
from pyredund.embed.train import Plan, Recipe, Schedule, train, warm_cosine

FILE = "embedder.safetensors"
SHOWN = 1_000_000  # images in training where `epochs` is left open: ten minutes on two cores for 28 px
BATCH = 512
LABELLED_BATCH = 128  # four times the steps in a quarter more time; no image needs others to be told from
MOST_EPOCHS = 100
LARGEST_SIDE = 224
Shape = tuple[tuple[int, int], int]


class Embedder:
    """A network that gives each image a direction in which redundancy shows.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default "auto"
        "small", a network of our own for CPUs; a network of torchvision by name; or a module that takes floats from 0
        to 1, (n, channels, h, w), and returns a row for each image. "auto" is "small" on a CPU and resnet18 on a GPU.
    dim : int or None, default 64
        Dimensions of the embedding; None leaves the backbone's output as it is.
    weights : str or path, optional
        "imagenet" (torchvision's, downloaded once), or a file with the backbone's: .safetensors, or of torch.save.
    device : str, default "auto"
        "cpu", "cuda", "cuda:1"; "auto" takes the GPU where torch has one.
    seed : int, default 0
        Of first weights, order and augmentation.
    size : int, optional
        Height and width that images are resized to. Default: theirs, at most 224 px.
    max_pixels : int, default 100,000,000
        Files with more pixels are skipped.

    Attributes
    ----------
    losses, skipped : list
        Mean loss of each epoch, and images that could not be read, of the last `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyredund
    >>> images = np.random.default_rng(0).integers(256, size=(20, 16, 16), dtype=np.uint8)
    >>> embedder = pyredund.Embedder(dim=8, device="cpu").fit(images, epochs=1)
    >>> embedder.embed(images)
    EmbeddedImages(20 images, 8 dimensions, 0 skipped)
    """

    def __init__(
        self,
        backbone: Any = "auto",
        dim: int | None = 64,
        *,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        seed: int = 0,
        size: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.dim = None if dim is None else check_int("dim", dim, at_least=1)
        self.seed = check_int("seed", seed, at_least=0, at_most=(1 << 63) - 1)
        self.size = None if size is None else check_int("size", size, at_least=8)
        self.max_pixels = check_int("max_pixels", max_pixels, at_least=1)
        self.device = device_named(device)
        self.weights = None if weights is None else os.fspath(weights)
        if not isinstance(backbone, str):
            build.check_module(backbone)
        elif check_choice("backbone", backbone, BACKBONES) == "auto":
            backbone = "resnet18" if self.device.type == "cuda" or self.weights == "imagenet" else SMALL
        if self.weights == "imagenet" and not (isinstance(backbone, str) and backbone in HEADS):
            raise ValueError(f"weights='imagenet' are for the backbones {', '.join(HEADS)}, not for this one")
        self.backbone = backbone
        self.network: Any = None
        self.shape: Shape | None = None
        self.losses: list[float] = []
        self.skipped: list[Skipped] = []

    def __repr__(self) -> str:
        name = self.backbone if isinstance(self.backbone, str) else type(self.backbone).__name__
        return f"Embedder({name}, dim={self.dim}, {self.device}, {len(self.losses)} epochs)"

    def fit(
        self,
        images: Any,
        labels: Any = None,
        *,
        epochs: int | None = None,
        batch: int | None = None,
        temperature: float = 0.1,
        loss: Loss = nt_xent,
        learning_rate: float = 4e-3,
        schedule: Schedule = warm_cosine,
        augment: Augment | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        on_error: str = "skip",
        workers: int | None = None,
        progress: bool = False,
    ) -> Embedder:
        """Train on images: so that two views of one are alike or, with labels, as a classifier whose end is dropped.

        Parameters
        ----------
        images : path, list of paths, array, data set or DataLoader
            As for `embed`; at least 2.
        labels : sequence of int or str, or "folders", optional
            One for each image, or the name of each file's folder. Without them training is contrastive.
        epochs : int, optional
            Default: as many as show about a million images, at most 100. 0 builds the network and leaves it untrained.
        batch : int, optional
            Images a step. Default: 512 without labels, where each is told from the others of its batch, else 128.
        temperature : float, default 0.1
            Of the contrastive loss.
        loss : callable, optional
            Of two batches of views and the temperature. Default: NT-Xent (Chen and others, 2020), on the embedding.
        learning_rate : float, default 0.004
            The highest; of AdamW.
        schedule : callable, optional
            Share of that rate, from a step's number and how many there are. Default: up in a straight line for a tenth
            of the steps, then down along half a cosine.
        augment : callable, optional
            One random view of a batch (n, channels, h, w) of floats, such as a torchvision.transforms.v2 transform.
            Default: shifts and flips; without labels also crops, brightness, contrast, colour and blanked out parts.
        checkpoint : path, optional
            A folder in which the state of training is kept after each epoch.
        resume : bool, default False
            Go on from `checkpoint` if there is a state in it; on a CPU with the same number of threads and the same
            versions, the result is that of a run without interruption, bit for bit.
        on_error : {"skip", "raise"}, default "skip"
            What to do about images that cannot be read; see `skipped`.
        workers : int, optional
            Processes that read files. Default: one a processor for 512 files or more.
        progress : bool, default False
            A bar with rate and time left on standard error.

        Notes
        -----
        Time is epochs * n passes through the network, twice that without labels.
        """
        check_choice("on_error", on_error, ["skip", "raise"])
        check_positive("temperature", temperature)
        check_positive("learning_rate", learning_rate)
        if batch is None:
            batch = BATCH if labels is None else LABELLED_BATCH
        check_int("batch", batch, at_least=2)
        if resume and checkpoint is None:
            raise ValueError("resume=True needs the checkpoint folder of the interrupted run, got checkpoint=None")
        source = image_source(images, self.max_pixels)
        numbers, classes = (None, 0) if labels is None else build.classes_of(labels, source)
        size, channels = self._build(source, fresh=True)
        raise_first(source.refused, on_error)
        self.skipped = list(source.refused)
        read, positions = build.training_images(source, size, channels, workers, on_error, self.skipped)
        n = len(positions)
        if n < 2:
            raise ValueError(f"images must hold at least 2 that can be read, got {n}")
        if epochs is None:
            epochs = min(MOST_EPOCHS, max(1, round(SHOWN / n)))
        check_int("epochs", epochs, at_least=0)
        folder = None if checkpoint is None else Path(checkpoint)
        head = None
        if numbers is not None:
            numbers = numbers[positions]
            head = build.classifying_layer(self.network.dim, classes, self.seed).to(self.device)
        digest = build.digest_of(source, numbers)
        plan = Plan(epochs, batch, float(temperature), float(learning_rate), self.seed, classes, digest)
        augment = augment or default_augment(size, channels, labelled=labels is not None)
        recipe = Recipe(augment, loss, schedule)
        self.losses = train(self.network, head, plan, recipe, n, read, numbers, self.device, folder, resume, progress)
        return self

    def embed(
        self,
        images: Any,
        *,
        blocks: str | os.PathLike[str] | None = None,
        on_error: str = "skip",
        workers: int | None = None,
        progress: bool = False,
    ) -> EmbeddedImages:
        """Embeddings of images, and which image each row is.

        Parameters
        ----------
        images : path, list of paths, array, data set or DataLoader
            A folder (all image files below it, by name), paths, an array (n, h, w[, 1 or 3]) of bytes or of floats
            from 0 to 1, a tensor (n, channels, h, w), or a data set of torch whose items are images, or tuples that
            begin with one, or dicts with one under "image". Of a DataLoader its data set is read, in order, by as many
            workers; its `collate_fn` is not used.
        blocks : path, optional
            A folder in which finished blocks are kept; the same call goes on from there after a crash.
        on_error, workers, progress
            As for `fit`.

        Returns
        -------
        EmbeddedImages
            ``embeddings``, ``ids`` and ``skipped``.

        Raises
        ------
        ValueError
            If no image can be read, one cannot with ``on_error="raise"``, or nothing has been trained.
        """
        check_choice("on_error", on_error, ["skip", "raise"])
        if self.network is None and self.weights is None and isinstance(self.backbone, str):
            raise ValueError("embed needs a trained network: call fit first, load one, or pass weights")
        source = image_source(images, self.max_pixels)
        shape = self._build(source, fresh=False)
        raise_first(source.refused, on_error)
        finished = None if blocks is None else FinishedBlocks(Path(blocks), self.network, source)
        skipped = list(source.refused)
        positions: list[NDArray[np.int64]] = []
        rows: list[NDArray[np.float32]] = []
        with tqdm(total=len(source), desc="embedding", unit="image", disable=not progress) as bar:
            for found, embeddings, failed in embedded_blocks(
                self.network, self.device, source, shape, finished, workers
            ):
                new = [Skipped(source.id_of(position), reason) for position, reason in failed]
                raise_first(new, on_error)
                skipped += new
                positions.append(found)
                rows.append(embeddings)
                bar.update(len(found) + len(failed))
        order = np.concatenate(positions)
        if not len(order):
            raise ValueError(
                f"images must hold at least 1 that can be read; {skipped[0].id} cannot: {skipped[0].reason}"
            )
        joined = np.concatenate(rows)
        joined.flags.writeable = False
        ids = [source.ids[i] for i in order.tolist()] if isinstance(source.ids, list) else source.ids[order]
        return EmbeddedImages(joined, ids, skipped)

    def _build(self, source: ImageSource, fresh: bool) -> Shape:
        """The network for these images; `fresh` starts from first weights again."""
        fresh = fresh and isinstance(self.backbone, str)
        if self.network is None or fresh:
            if self.shape is None or fresh:
                size, channels = common_shape(source, LARGEST_SIDE)
                size = size if self.size is None else (self.size, self.size)
                self.shape = size, build.channels_for(self.backbone, size, channels)
            network = build.build_network(self.backbone, self.dim, self.weights, *self.shape, self.seed)
            self.network = network.to(self.device)
        assert self.shape is not None
        return self.shape

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the network into a folder: one safetensors file, settings as JSON in its head; nothing is pickled."""
        if self.network is None or self.shape is None:
            raise ValueError("save needs a network: call fit first")
        Path(folder).mkdir(parents=True, exist_ok=True)
        (height, width), channels = self.shape
        settings = {
            "backbone": self.backbone if isinstance(self.backbone, str) else None,
            "dim": self.dim,
            "seed": self.seed,
            "size": self.size,
            "max_pixels": self.max_pixels,
            "shape": [height, width, channels],
            "losses": self.losses,
        }
        write_tensors(Path(folder) / FILE, "embedder", self.network.state_dict(), settings)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, backbone: Any = None, device: str = "auto") -> Embedder:
        """Read what `save` wrote.

        Parameters
        ----------
        folder : path
            Where.
        backbone : torch.nn.Module, optional
            Where the embedder was made of a module, one of the same structure: files hold weights, never code.
        device : str, default "auto"
            As for `Embedder`.
        """
        tensors, settings = read_tensors(Path(folder) / FILE, "embedder")
        if (settings["backbone"] is None) != (backbone is not None):
            need = (
                "a module of the structure that was saved"
                if backbone is None
                else f"none, it is {settings['backbone']}"
            )
            raise ValueError(f"backbone must be {need}")
        found = cls(
            settings["backbone"] if backbone is None else backbone,
            settings["dim"],
            device=device,
            seed=settings["seed"],
            size=settings["size"],
            max_pixels=settings["max_pixels"],
        )
        height, width, channels = settings["shape"]
        found.shape = (height, width), channels
        network = build.build_network(found.backbone, found.dim, None, *found.shape, found.seed)
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(f"backbone must have the structure that was saved in {folder}: {error}") from None
        found.network = network.to(found.device)
        found.losses = settings["losses"]
        return found
