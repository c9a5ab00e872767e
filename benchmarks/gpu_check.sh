#!/usr/bin/env bash
# What has to hold on a machine with a GPU, and how fast it is. Needs Python 3.11 or newer, nvcc, torch, numpy, pybind11,
# scikit-build-core, cmake, ninja or make, pytest, pytest-benchmark, click and tqdm; no network. The table comes last.
# Arguments are what is wanted: tests, avx512, sanitizer, profile, timings. Without any, all of it.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=()
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
attempt() { "$@" || failed+=("$*"); }
steps=" ${*:-tests avx512 sanitizer profile timings} "
wanted() { [[ $steps == *" $1 "* ]]; }
for name in "$@"; do
  case $name in
    tests | avx512 | sanitizer | profile | timings) ;;
    *) echo "unknown: $name (tests, avx512, sanitizer, profile, timings)" && exit 2 ;;
  esac
done

step "the machine"
nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader
nvcc --version | tail -n 2 | head -n 1
grep -m 1 'model name' /proc/cpuinfo || true
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d '. ')
[ "$capability" = 90 ] && capability=90a

step "build for sm_$capability"
outer=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
python3 -m venv --system-site-packages "$work/venv" || exit 1
# shellcheck disable=SC1091
. "$work/venv/bin/activate"
# Where python3 is itself of a virtual environment, the new one sees the packages of neither by itself.
echo "$outer" >"$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/outer.pth"
python -m pip install -q --no-build-isolation --no-deps --no-index . -C build-dir="$work/build" \
  -C cmake.define.PYREDUND_CUDA=ON -C "cmake.define.PYREDUND_CUDA_ARCHITECTURES=$capability" || exit 1
mkdir "$work/run"
cp -r tests benchmarks pyproject.toml "$work/run"
cd "$work/run" || exit 1
python -c 'import pyredund; print(pyredund.__file__, pyredund.show_config())'

if wanted tests; then
  step "tests on the GPU"
  attempt timeout 120 python -m pytest -q -p no:cacheprovider tests/test_cuda.py tests/test_cuda_selectors.py \
    tests/test_cuda_memory.py -k "(gpu and not gpus and not that_fails) or driver or kernels"
fi

if wanted avx512 && python -c 'import sys; from pyredund import _core; sys.exit("avx512" not in _core.isas())'; then
  step "tests of AVX-512"
  attempt timeout 60 python -m pytest -q -p no:cacheprovider tests/test_score.py tests/test_radius_graph.py -k avx512
  if python -c 'import hypothesis' 2>/dev/null; then
    attempt timeout 60 python -m pytest -q -p no:cacheprovider tests/test_knn_graph.py -k "avx512 or threads"
  fi
fi

cat >"$work/small.py" <<'PY'
from dataclasses import replace

import numpy as np
import pyredund
import pyredund._engine
from pyredund._device import insertion_on_gpu
from pyredund._inputs import row_source
from pyredund._removal import removal_by_rounds
from pyredund._unit_rows import unit_rows

rng = np.random.default_rng(0)
near = np.ones((600, 40)) + 1e-4 * rng.normal(size=(600, 40))
for x in (rng.normal(size=(700, 70)), near, rng.integers(-1, 2, size=(300, 3))):
    here, there = (pyredund.knn_graph(x, 9, device=device) for device in ("cuda", "cpu"))
    assert here.indices.tobytes() == there.indices.tobytes()
    assert here.similarities.tobytes() == there.similarities.tobytes()
    pyredund.knn_graph(x[:50], 9, reference=x, device="cuda")
    for threshold in (0.5, 0.99):
        here, there = (pyredund.radius_graph(x, threshold, device=device) for device in ("cuda", "cpu"))
        assert here.indices.tobytes() == there.indices.tobytes()
    lists = there if len(there.indices) else pyredund.knn_graph(x, 9)
    weights = np.ones(len(x), dtype=np.int64)
    engine = replace(pyredund._engine.Engine.resolve(), device="cuda")
    insertion_on_gpu(lists, weights, len(x) // 2, engine)
    rows = unit_rows("embeddings", row_source("embeddings", x), engine)
    if rows.class_of is None:
        removal_by_rounds(rows, pyredund.knn_graph(x, 9), None, None, None, len(x) // 10, engine)
PY
if wanted sanitizer; then
  step "compute-sanitizer"
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
  for tool in memcheck racecheck synccheck initcheck; do
    if [ -n "$sanitizer" ]; then
      attempt timeout 60 "$sanitizer" --tool "$tool" --error-exitcode 1 --print-limit 5 python "$work/small.py"
    else
      echo "compute-sanitizer is not here: $tool skipped"
    fi
  done
fi

cat >"$work/profiled.py" <<'PY'
import torch

import pyredund
from benchmarks.bench_cuda import clustered

pyredund.knn_graph(clustered(1_000_000, 64, torch), 32, device="cuda")
PY
if wanted profile; then
  step "what binds the scan"
  profiler=$(command -v ncu || ls /usr/local/cuda/bin/ncu 2>/dev/null)
  if [ -n "$profiler" ]; then # a launch of the last waves: those before them are short
    PYTHONPATH=. timeout 90 "$profiler" -k regex:scan_tiles --launch-skip 12 --launch-count 1 --section SpeedOfLight \
      --section WarpStateStats --section SchedulerStats --section MemoryWorkloadAnalysis --section Occupancy \
      python "$work/profiled.py" | tail -n 110 || echo "no profile"
  else
    echo "ncu is not here: no profile"
  fi
fi

if wanted timings; then
  step "timings"
  attempt timeout 200 python -m benchmarks.bench_cuda
fi
echo
if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo "all of it holds ($SECONDS s)"
