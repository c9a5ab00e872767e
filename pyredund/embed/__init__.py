"""From images to embeddings: everything that imports torch lives here, and `import pyredund` does not import it."""

from __future__ import annotations

from importlib.util import find_spec

_PACKAGES = {"torch": "torch", "torchvision": "torchvision", "PIL": "pillow", "safetensors": "safetensors"}
_missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
if _missing:
    raise ImportError(
        f"pyredund.Embedder needs {', '.join(_missing)}, not installed here: pip install {' '.join(_missing)}"
    )

from pyredund.embed.embedded import EmbeddedImages  # noqa: E402
from pyredund.embed.embedder import Embedder  # noqa: E402
from pyredund.embed.images import Skipped  # noqa: E402

__all__ = ["EmbeddedImages", "Embedder", "Skipped"]
