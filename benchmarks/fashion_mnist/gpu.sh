#!/usr/bin/env bash
# The published recipe on a GPU: as many trainings as fit into the minutes given, the rest another time.
#   benchmarks/fashion_mnist/gpu.sh MINUTES [LIST.npy] [more options of the command]
# Needs Python 3.11 or newer with torch, torchvision, safetensors, pillow, numpy, click and tqdm, a C++ compiler, CMake and
# ninja or make, scikit-build-core and pybind11; no network where Fashion-MNIST lies in the folder PYREDUND_FASHION_MNIST.
# Selections are made here too, unless .cache/fashion_mnist comes along. Results go to the folder results/, or to $RESULTS;
# $PYREDUND_COMMIT names the commit where there is no clone. `--preset cpu --jobs 8 --no-compile` behind the list ("" for none)
# trains the small network here.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=$1
listed=${2:-}
shift $(($# > 1 ? 2 : 1))
started=$SECONDS

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
outer=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
python3 -m venv --system-site-packages "$work/venv"
# shellcheck disable=SC1091
. "$work/venv/bin/activate"
# Where python3 is itself of a virtual environment, the new one sees the packages of neither by itself.
echo "$outer" >"$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/outer.pth"
if ! python -c 'import pyredund._core' 2>/dev/null; then  # in a clone that is not installed, the folder lacks the core
  python -m pip install -q --no-build-isolation --no-deps --no-index . -C build-dir="$work/build" \
    -C cmake.define.PYREDUND_CUDA=OFF
fi
results=${RESULTS:-$PWD/benchmarks/fashion_mnist/results}
mkdir -p "$work/run/.cache" "$work/run/benchmarks" .cache/fashion_mnist "$results"
cp -r benchmarks/*.py benchmarks/fashion_mnist "$work/run/benchmarks"
rm -rf "$work/run/benchmarks/fashion_mnist/results"
ln -s "$(realpath "$results")" "$work/run/benchmarks/fashion_mnist/results"  # a line is there at once, whatever comes
ln -s "$PWD/.cache/fashion_mnist" "$work/run/.cache/fashion_mnist"
if [ -n "$listed" ]; then listed=$(realpath "$listed"); fi
if [ -n "${PYREDUND_FASHION_MNIST:-}" ]; then
  PYREDUND_FASHION_MNIST=$(realpath "$PYREDUND_FASHION_MNIST")
  export PYREDUND_FASHION_MNIST
fi
PYREDUND_COMMIT=${PYREDUND_COMMIT:-$(git describe --always --dirty --exclude='*' 2>/dev/null || echo unknown)}
export PYREDUND_COMMIT
cd "$work/run"
left=$(python -c "print($minutes - ($SECONDS - $started) / 60)")
python -m benchmarks.fashion_mnist run --preset published --device cuda --compile --minutes "$left" \
  ${listed:+--list "$listed"} "$@"
