"""What pytest leaves out where the extra `embed` is not installed."""

from importlib.util import find_spec

installed = all(find_spec(name) for name in ("torch", "torchvision", "PIL", "safetensors"))
collect_ignore_glob = [] if installed else ["pyredund/embed/*", "benchmarks/fashion_mnist/*"]
