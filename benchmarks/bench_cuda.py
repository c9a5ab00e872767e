"""The graph on a GPU beside torch's matmul and topk there, with the share of what the GPU can do at most.

Run with ``python -m benchmarks.bench_cuda`` on a machine with a GPU and torch; `gpu_check.sh` does, last.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import pyredund
from pyredund import _core
from pyredund._device import insertion_on_gpu, why_no_cuda
from pyredund._engine import Engine
from pyredund._inputs import row_source
from pyredund._removal import removal_by_rounds
from pyredund._unit_rows import unit_rows

SIZES = [  # rows, coordinates, k
    (60_000, 64, 32),
    (1_000_000, 64, 32),
    (1_000_000, 64, 256),
    (1_000_000, 384, 32),
]
QUERIES = 32_768  # that torch answers; its time is scaled to all rows, since each takes the same
SCORES = 1 << 30  # that torch holds at once
ROUNDS = 3


def seconds(call: Callable[[], object], torch: Any, rounds: int = ROUNDS) -> float:
    """The best of a few runs, after one to warm up."""
    call()
    best = float("inf")
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def clustered(n: int, dim: int, torch: Any) -> Any:
    """Rows around 1000 centres, in random order: neighbours are neither all alike nor all far."""
    generator = torch.Generator("cuda").manual_seed(0)
    centres = torch.randn(1000, dim, device="cuda", generator=generator)
    which = torch.randint(1000, (n,), device="cuda", generator=generator)
    return centres[which] + 0.7 * torch.randn(n, dim, device="cuda", generator=generator)


def blocks(n: int, at_once: int) -> Iterator[slice]:
    return (slice(start, min(n, start + at_once)) for start in range(0, n, at_once))


def torch_lists(x: Any, dtype: Any, k: int, torch: Any) -> Any:
    """Neighbours of the first rows as torch finds them: a block of scores, then topk."""
    unit = torch.nn.functional.normalize(x).to(dtype)
    n_queries = min(QUERIES, len(x))
    found = []
    for part in blocks(n_queries, max(1, SCORES // len(x))):
        scores = unit[part] @ unit.T
        scores[torch.arange(scores.shape[0]), torch.arange(part.start, part.stop)] = -2
        found.append(scores.topk(k).indices)
    return torch.cat(found)


def gemm_seconds(x: Any, torch: Any) -> float:
    """All products of rows in half precision, each pair once: what no search by matrix products can beat."""
    half = x.half()
    n_queries = min(QUERIES, len(x))

    def gemm() -> None:
        for part in blocks(n_queries, max(1, SCORES // len(x))):
            half[part] @ half.T

    return seconds(gemm, torch) * len(x) / n_queries / 2


def kernel_lines(x: Any, k: int, torch: Any) -> list[str]:
    """Where a graph's time goes on the GPU: every kernel and copy, as torch's profiler sees them."""
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            start = time.perf_counter()
            pyredund.knn_graph(x, k, device="cuda")
            wall = time.perf_counter() - start
        events = [(event.self_device_time_total / 1e6, event.count, event.key) for event in profile.key_averages()]
    except (AttributeError, RuntimeError) as error:  # another torch, or a GPU that may not be profiled
        return [f"{len(x):9,} {x.shape[1]:4} {k:4} no profile: {error}"]
    busy = sum(taken for taken, _, _ in events)
    return [f"{len(x):9,} {x.shape[1]:4} {k:4} {wall:11.4f} with the profiler, of which the GPU works {busy:.4f} s"] + [
        f"{'':19} {taken:11.5f} in {count:5} x {name.split('(')[0][-60:]}"
        for taken, count, name in sorted(events, reverse=True)[:9]
    ]


def recall(found: Any, graph: pyredund.NeighborGraph, k: int) -> float:
    lists = graph.indices.reshape(-1, k)[: len(found)]
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(found[:500], lists[:500], strict=True)]))


def check_small(torch: Any) -> None:
    x = clustered(5000, 48, torch)
    here, there = pyredund.knn_graph(x, 20, device="cuda"), pyredund.knn_graph(x.cpu(), 20)
    assert here.indices.tobytes() == there.indices.tobytes()
    assert here.similarities.tobytes() == there.similarities.tobytes()


def selector_lines(x: Any, graph: pyredund.NeighborGraph, k: int, torch: Any) -> list[str]:
    """Pairs from a threshold on, and insertion on either device: what is not chosen by itself before it is measured."""
    n, dim = x.shape
    threshold = float(np.quantile(graph.similarities[k - 1 :: k], 0.9))  # lists of a tenth of the rows reach it
    taken = seconds(lambda: pyredund.radius_graph(x, threshold, device="cuda"), torch, 1)
    n_edges = len(pyredund.radius_graph(x, threshold, device="cuda").indices)
    lines = [f"{n:9,} {dim:4} {'':4} {taken:11.4f} radius_graph(threshold={threshold:.4f}), {n_edges:,} edges"]
    counts: list[dict[str, int]] = []
    engine = replace(Engine.resolve(), device="cuda", count=lambda of: counts.append(of) if "rounds" in of else None)
    lists, none = (graph.indptr, graph.indices, graph.similarities), np.empty(0, dtype=np.int32)
    n_remove = n - round(0.9 * n)

    rows = unit_rows("embeddings", row_source("embeddings", x), engine)

    def remove() -> Any:
        return removal_by_rounds(rows, graph, None, None, None, n_remove, engine)

    on_gpu, log = seconds(remove, torch, 1), remove()
    start = time.perf_counter()
    right = pyredund.select(x, 0.9, graph=graph)
    on_cpu = time.perf_counter() - start
    assert log is not None, "a list ran out"
    assert log["removed"].tolist() == right.removed.tolist()
    lines.append(
        f"{n:9,} {dim:4} {k:4} {on_gpu:11.4f} removal of 0.1, graph given, {counts[-1]['rounds']} rounds; select "
        f"on the CPU {on_cpu:.3f} s"
    )
    for share in (0.1, 0.9):
        n_pick = round(share * n)
        on_gpu = seconds(lambda m=n_pick: insertion_on_gpu(graph, None, m, engine), torch, 1)  # type: ignore[misc]
        start = time.perf_counter()
        expected = _core.insertion(*lists, None, none, n_pick, engine.n_threads, None)
        on_cpu = time.perf_counter() - start
        found = insertion_on_gpu(graph, None, n_pick, engine)
        assert [part.tolist() for part in found] == [part.tolist() for part in expected]
        lines.append(
            f"{n:9,} {dim:4} {k:4} {on_gpu:11.4f} insertion of {share}, graph given, {counts[-1]['rounds']} rounds; "
            f"CPU {on_cpu:.3f} s"
        )
    return lines


def main() -> None:
    """Print a table of times and shares."""
    if reason := why_no_cuda():
        sys.exit(f"nothing to measure: {reason}")
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    check_small(torch)
    copied = torch.empty(1 << 28, dtype=torch.float32, device="cuda")
    bandwidth = 2 * copied.nbytes / seconds(copied.clone, torch) / 1e9
    del copied
    lines = [
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, pyredund {pyredund.__version__}; copies at "
        f"{bandwidth:,.0f} GB/s; best of {ROUNDS}",
        f"{'rows':>9} {'dim':>4} {'k':>4} {'pyredund s':>11} {'GEMM s':>8} {'share':>6} {'bf16+topk s':>12} "
        f"{'fp32+topk s':>12} {'recall of fp32':>14}",
    ]
    for n, dim, k in SIZES:
        x = clustered(n, dim, torch)
        own = seconds(lambda x=x, k=k: pyredund.knn_graph(x, k, device="cuda"), torch)  # type: ignore[misc]
        graph = pyredund.knn_graph(x, k, device="cuda")
        gemm = gemm_seconds(x, torch)
        scale = n / min(QUERIES, n)
        times = {
            dtype: seconds(lambda x=x, k=k, d=dtype: torch_lists(x, d, k, torch), torch, 1) * scale  # type: ignore[misc]
            for dtype in (torch.bfloat16, torch.float32)
        }
        share = recall(torch_lists(x, torch.float32, k, torch).cpu().numpy(), graph, k)
        assert share > 0.99, share
        lines.append(
            f"{n:9,} {dim:4} {k:4} {own:11.4f} {gemm:8.4f} {gemm / own:6.1%} {times[torch.bfloat16]:12.3f} "
            f"{times[torch.float32]:12.3f} {share:14.5f}"
        )
        lines += kernel_lines(x, k, torch)
        if (dim, k) == (64, 32):
            taken = seconds(lambda x=x: pyredund.select(x, 0.9, device="cuda"), torch, 1)  # type: ignore[misc]
            lines.append(f"{n:9,} {dim:4} {k:4} {taken:11.4f} select(keep=0.9) all told")
            lines += selector_lines(x, graph, k, torch)
        print(lines[-1], file=sys.stderr, flush=True)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
