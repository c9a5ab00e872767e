"""From images to embeddings: everything that imports torch lives here, and `import pyredund` does not import it."""

from __future__ import annotations

from importlib.util import find_spec

_missing = [name for name in ("torch", "torchvision", "PIL", "safetensors") if find_spec(name) is None]
if _missing:
    raise ImportError(
        f"pyredund.Embedder needs {', '.join(_missing)}, not installed here; this command installs what it needs: "
        'pip install "pyredund[embed]"'
    )

from pyredund.embed.embedded import EmbeddedImages  # noqa: E402
from pyredund.embed.embedder import Embedder  # noqa: E402
from pyredund.embed.images import Skipped  # noqa: E402

__all__ = ["EmbeddedImages", "Embedder", "Skipped"]
