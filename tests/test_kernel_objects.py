from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from pyredund import _core
from pyredund._engine import available_threads

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "csrc" / "cpu" / "kernels.cpp"
CHECK = Path(__file__).with_name("kernel_check.cpp")


def tool(*names: str) -> str:
    path = next((path for name in names if (path := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"this machine has no {names[-1]}")
    return path


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def flags_of_each_set() -> dict[str, list[str]]:
    """Read from CMakeLists.txt, so that what is checked is what is built."""
    if not KERNELS.exists():
        pytest.skip("the sources are not here")
    cmake = (ROOT / "CMakeLists.txt").read_text()
    of_every_set = re.findall(
        r"PRIVATE \$\{ARGN\} ([^)]*)\)|target_compile_options\(pyredund_options \w+ ([^)]*)\)", cmake
    )
    shared = [flag for groups in of_every_set for group in groups for flag in group.split()]
    assert {"-O3", "-ffp-contract=fast"} <= set(shared)
    for name, flags in re.findall(r"set\((\w+) (-m[^)]*)\)", cmake):
        cmake = cmake.replace(f"${{{name}}}", flags)
    sets = {name: flags.split() for name, flags in re.findall(r"^ *add_kernels\((\w+)([^)]*)\)", cmake, re.MULTILINE)}
    assert set(_core.isas()) <= set(sets)
    return {name: ["-std=gnu++17", "-fPIC", *shared, *flags] for name, flags in sets.items()}


def compiler() -> str:
    return tool(os.environ.get("CXX", "c++"), "g++", "clang++", "C++ compiler")


def compile_kernels(isa: str, to: Path, source: Path = KERNELS, *more: str) -> Path:
    if isa != "baseline" and platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip(f"{isa} is an instruction set of x86")
    flags = [*flags_of_each_set()[isa], f"-DPYREDUND_ISA={isa}", *more, f"-I{ROOT / 'csrc'}"]
    run(compiler(), *flags, "-c", source, "-o", to)
    return to


@pytest.fixture(scope="module")
def kernel_object(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("kernels")
    return cache(lambda isa: compile_kernels(isa, folder / f"{isa}.o"))


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], str]:
    """What the checks say of a kernel object: the first difference, or that all is right."""
    folder = tmp_path_factory.mktemp("kernel_check")

    @cache
    def check_object(isa: str, check: Path) -> Path:
        to = folder / f"{check.stem}_{isa}.o"
        run(compiler(), "-std=gnu++17", f"-DPYREDUND_ISA={isa}", f"-I{ROOT / 'csrc'}", "-c", check, "-o", to)
        return to

    def of(isa: str, kernels: Path) -> str:
        for check in (CHECK, *(CHECK.with_name(f"{part}_kernel_check.cpp") for part in ("row", "cell"))):
            run(compiler(), check_object(isa, check), kernels, "-o", folder / "check")
            done = subprocess.run([folder / "check"], capture_output=True, text=True, check=False, timeout=60)
            assert (done.returncode == 0) == (done.stdout == "right\n")
            if done.returncode != 0:
                return done.stdout.strip()
        return "right"

    return of


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512", "avx512vnni"])
def test_a_kernel_object_defines_its_table_and_no_weak_symbol(isa: str, kernel_object: Callable[[str], Path]) -> None:
    listing = run(tool("nm"), "-C", kernel_object(isa))
    symbols = re.findall(r"^(?:[0-9a-f]+)? *([A-Za-z?]) (.*)$", listing, re.MULTILINE)
    assert len(symbols) > 3
    assert not [symbol for symbol in symbols if symbol[0] in "WwVvu"], listing
    others_see = [name for kind, name in symbols if kind.isupper() and kind != "U"]
    assert others_see == [f"pyredund::cpu::kKernels_{isa}"], listing


def test_weak_symbols_would_be_noticed(tmp_path: Path) -> None:
    mutant = tmp_path / "kernels.cpp"
    inline = "namespace pyredund::cpu {\ninline __attribute__((noinline, used)) int shared() { return 1; }\n"
    mutant.write_text(KERNELS.read_text().replace("namespace pyredund::cpu {\n", inline, 1))
    assert " W pyredund::cpu::shared()" in run(tool("nm"), "-C", compile_kernels("baseline", tmp_path / "k.o", mutant))


@pytest.mark.parametrize(
    ("isa", "fused"), [("baseline", False), ("avx2", True), ("avx512", True), ("avx512vnni", True)]
)
def test_only_the_sets_that_have_it_multiply_and_add_in_one_instruction(
    isa: str, fused: bool, kernel_object: Callable[[str], Path]
) -> None:
    if platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip("the names of instructions are those of x86")
    code = run(tool("objdump"), "-d", kernel_object(isa))
    assert bool(re.search(r"vfmadd\d+ps", code)) == fused
    widest = {"baseline": "xmm", "avx2": "ymm", "avx512": "zmm", "avx512vnni": "zmm"}
    assert ("vpdpbusd" in code) == (isa == "avx512vnni")
    assert {name for name in ("xmm", "ymm", "zmm") if f"%{name}" in code} <= {"xmm", "ymm", widest[isa]}
    assert f"%{widest[isa]}" in code


def test_insertion_asks_for_lists_before_it_needs_them(tmp_path: Path) -> None:
    """GCC leaves out calls of a function that does nothing but prefetch, unless it is inlined."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip("the names of instructions are those of x86")
    flags, source, to = flags_of_each_set()["baseline"], KERNELS.with_name("insertion.cpp"), tmp_path / "insertion.o"
    run(compiler(), *flags, f"-I{ROOT / 'csrc'}", "-c", source, "-o", to)
    code = run(tool("objdump"), "-d", to)
    assert code.count("prefetch") >= 12  # where lists of three arrays begin and where they end, in two places at least


def test_a_kernel_gives_what_plain_loops_give(
    isa: str, kernel_object: Callable[[str], Path], verdict: Callable[[str, Path], str]
) -> None:
    assert verdict(isa, kernel_object(isa)) == "right"


MUTATIONS = {
    "the last column is dropped": ("(1u << scan.n_columns) - 1", "(1u << (scan.n_columns - 1)) - 1"),
    "the last row of a strip is dropped": (
        "r < strip; ++r) {\n    std::uint32_t",
        "r < strip - 1; ++r) {\n    std::uint32_t",
    ),
    "a row beyond the last counts": ("r < strip; ++r) {\n    std::uint32_t", "r < kStrip; ++r) {\n    std::uint32_t"),
    "a row has its neighbour's bar": ("scan.row_bars[at];", "scan.row_bars[at > 0 ? at - 1 : 0];"),
    "both halves of the panel have the bars of one": ("load(column_bars + v * kLanes)", "load(column_bars)"),
    "both halves of a panel of bytes have the bars of one": (
        "row_limit[r], load(scan.column_limits + v * kLanes)",
        "row_limit[r], load(scan.column_limits)",
    ),
    "a tie of bytes does not survive": ("(__m256)(limit > score)", "(__m256)(limit >= score)"),
    "an offset is left out": (
        "const Mask score = total(sums[r][v], column_offset[v] + row_offset[r])",
        "const Mask score = total(sums[r][v], column_offset[v])",
    ),
    "the last coordinate is left out": (
        "for (std::int64_t i = 0; i < scan.dim;",
        "for (std::int64_t i = 1; i < scan.dim;",
    ),
    "a tie does not survive": (
        "lanes_reaching(score[r][v], bar)",
        "lanes_reaching(score[r][v], bar + broadcast(0.25f))",
    ),
    "survivors overwrite each other": ("scan.survivors + *n_survivors;", "scan.survivors + *n_survivors / 2;"),
    "rows done are miscounted": ("? first : scan.n_rows) - first_row", "? first + 1 : scan.n_rows) - first_row"),
    "bytes forget what was added to the rows": ("(Words)sums) * 128", "(Words)sums) * 127"),
    "a panel has the same coordinates twice": ("x[j], x[j + 4], 0x31", "x[j], x[j + 4], 0x20"),
    "a panel's last coordinates are left out": ("g < count / 4; ++g", "g < count / 8; ++g"),
    "products of bytes saturate": ("four, column[v])", "_mm256_set1_epi8(-1), column[v])"),
    "a row near a cell is passed over": ("r + 8 <= n_rows; r += 8", "r + 8 <= n_rows; r += 9"),
    "a row that is picked is taken for its place": ("scan.row_cosines[at[r]]", "scan.row_cosines[first + r]"),
    "a reach and a cap are subtracted": ("- sine * load(scan.cell_sines", "+ sine * load(scan.cell_sines"),
    "a cell's own rows have no reach": ("smaller(sum, load(scan.column_limits + v * kLanes))", "sum"),
    "a long product loses its last part": ("i < job.dim; i += count", "i + kTogether < job.dim; i += count"),
    "fewer products reach a value than were asked for": ("reaching[v] >= wanted ?", "reaching[v] >= wanted - 1 ?"),
    "the last of the pairs is scored for the one before": (
        "s + 1 < n_pairs ? s + 1 : s",
        "s + 2 < n_pairs ? s + 1 : s",
    ),
    "pairs are scored from the wrong row": ("rows + two[p]->column * stride", "rows + two[0]->column * stride"),
    "a word of another row is multiplied": (
        "multiply_words(rows + pairs[s].row * stride",
        "multiply_words(rows + pairs[s].column * stride",
    ),
    "a bound takes more coordinates than were asked for": (
        "pairs[s].column * stride, count)",
        "pairs[s].column * stride, count + 8)",
    ),
    "a pair's coordinates go to other lanes": (
        "high[p] += widen(x[p] + i + 4) * widen(y[p] + i + 4)",
        "low[p] += widen(x[p] + i + 4) * widen(y[p] + i + 4)",
    ),
    "a weighted row counts for another": ("sum2 += weights[r + 2]", "sum2 += weights[r + 1]"),
    "the last rows have no weight": ("for (; r < n_rows; ++r, row += stride) sum0", "for (; r < 0; ++r) sum0"),
    "a quotient keeps its sign": ("quotient + Four{};", "quotient;"),
    "halves are taken for quarters": ("out[0] = sum[0] + sum[1];", "out[0] = sum[0] + sum[2];"),
    "a byte leaves its range": ("value = value < most ? value : most;", ""),
    "two narrow sums are taken for one": ("pair < 4; pair += 2", "pair < 2; pair += 2"),
    "what rounding takes off is not counted": ("exact - value * unit;", "exact - exact * factor * unit;"),
    "lanes are added in another order": (
        "(sum[0] + sum[2]) + (sum[1] + sum[3])",
        "(sum[0] + sum[1]) + (sum[2] + sum[3])",
    ),
}


def compile_mutant(name: str, folder: Path) -> Path:
    right, wrong = MUTATIONS[name]
    sources = {path: path.read_text() for path in (KERNELS, *KERNELS.parent.glob("kernel_*.hpp"))}
    (changed,) = (path for path, source in sources.items() if right in source)
    (folder / "cpu").mkdir(parents=True)
    (folder / "cpu" / changed.name).write_text(sources[changed].replace(right, wrong))
    source = folder / "cpu" / "kernels.cpp" if changed == KERNELS else KERNELS
    return compile_kernels("avx2", folder / "kernels.o", source, f"-I{folder}", "-O1")  # a mistake at any speed


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Path]]]:
    """Kernels with a mistake each, compiled side by side while tests go through them."""
    if "avx2" not in _core.isas():
        pytest.skip("the mistakes are those of a set that this machine lacks")
    folder = tmp_path_factory.mktemp("mutants")
    flags_of_each_set()  # here, where it may skip, and not in each thread
    pool = ThreadPoolExecutor(available_threads())
    yield {name: pool.submit(compile_mutant, name, folder / f"{i}") for i, name in enumerate(MUTATIONS)}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_kernel_with_a_mistake_is_caught(
    name: str, mutants: dict[str, Future[Path]], verdict: Callable[[str, Path], str]
) -> None:
    assert "differ" in verdict("avx2", mutants[name].result())


FIRST_MUTATIONS = {
    "nothing": ("", ""),
    "the wrong part is searched on": ("(middle > meet ? end : begin)", "(middle > meet ? begin : end)"),
    "the rest is left as it is": ("if (meet > begin && meet < end) std::nth_element", "if (false) std::nth_element"),
    "a number is lost": ("*next = *middle;", ""),
}


@pytest.mark.parametrize("name", FIRST_MUTATIONS)
def test_the_smallest_come_first_and_mistakes_in_it_are_caught(name: str, tmp_path: Path) -> None:
    done = check_with("smallest_first.hpp", "smallest_first_check.cpp", FIRST_MUTATIONS[name], tmp_path)
    assert done == "right\n" if name == "nothing" else "differs" in done


def check_with(header: str, check: str, mutation: tuple[str, str], folder: Path) -> str:
    """What a check of one header prints, once the header has a mistake."""
    flags, (right, wrong) = flags_of_each_set()["baseline"], mutation
    source = KERNELS.with_name(header).read_text()
    assert right in source
    (folder / "cpu").mkdir()
    (folder / "cpu" / header).write_text(source.replace(right, wrong, 1) if right else source)
    run(compiler(), *flags, f"-I{folder}", CHECK.with_name(check), "-o", folder / "check")
    return subprocess.run([folder / "check"], capture_output=True, text=True, check=False, timeout=60).stdout


SORT_MUTATIONS = {
    "nothing": ("", ""),
    "two of a run are left out of order": ("order(b, c), order(d, e), order(f, g);", "order(b, c), order(d, e);"),
    "the smaller end is taken from one run only": ("right_end -= 1 - off_left", "right_end -= 1"),
    "what was there before is sorted, too": ("std::fill(from_.begin() + count_", "std::fill(from_.begin() + padded_"),
    "equal scores come in the order of ids from below": ("~static_cast<std::uint32_t>(id);", "id;"),
}


@pytest.mark.parametrize("name", SORT_MUTATIONS)
def test_pairs_are_sorted_and_mistakes_in_it_are_caught(name: str, tmp_path: Path) -> None:
    done = check_with("pair_sort.hpp", "pair_sort_check.cpp", SORT_MUTATIONS[name], tmp_path)
    assert done == "right\n" if name == "nothing" else "differs" in done
