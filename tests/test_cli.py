from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import fail, names_in, run, succeed
from numpy.typing import NDArray

import pyredund
from pyredund import _device


@pytest.fixture
def embeddings() -> NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(60, 5)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path, embeddings: NDArray[np.float32]) -> Path:
    path = tmp_path / "embeddings.npy"
    np.save(path, embeddings)
    return path


# How much memory


@pytest.mark.parametrize("command", [["select"], ["dedup", "--threshold", "0.9"]])
def test_memory_is_limited_in_units(file: Path, command: list[str]) -> None:
    name, *options = command
    expected = succeed(name, file, *options).stdout
    for enough in ("1000000000", "1GB", "1.5 GiB", "900MiB", "900mib"):
        assert succeed(name, file, *options, "--max-memory", enough).stdout == expected
    for little, size in (("1", 1), ("1kB", 1000), ("1KiB", 1024), ("1.5KiB", 1536)):
        assert f"max_memory={size}" in fail(1, name, file, *options, "--max-memory", little)
    for wrong in ("", "much", "1GX", "-1", "1 2", "1e9"):
        assert "is no number of bytes" in fail(2, name, file, *options, "--max-memory", wrong)


# What to keep


@pytest.mark.parametrize(
    ("keep", "count"),
    [
        ("0.5", 30),
        ("30", 30),
        ("50%", 30),
        (".5", 30),
        ("5e-1", 30),
        ("1", 1),
        ("1.0", 60),
        ("100%", 60),
        ("12.5 %", 8),
    ],
)
def test_keep_is_a_share_or_a_count(file: Path, keep: str, count: int) -> None:
    assert len(succeed("select", file, "--keep", keep).stdout.split()) == count


@pytest.mark.parametrize(
    ("keep", "code", "message"),
    [
        ("0", 1, "keep as a count must be at least 1"),
        ("61", 1, "61 asked for, there are 60"),
        ("1.5", 1, "keep as a share must be in (0, 1]"),
        ("150%", 1, "keep as a share must be in (0, 1]"),
        ("-3", 1, "keep as a count must be at least 1, got -3"),
        ("nan", 2, "'nan' is neither a share such as 0.9 or 90% nor a count such as 5000"),
        ("most", 2, "'most' is neither a share"),
        ("1,000", 2, "'1,000' is neither a share"),
        ("", 2, "'' is neither a share"),
    ],
)
def test_bad_keep_is_explained(file: Path, keep: str, code: int, message: str) -> None:
    assert message in fail(code, "select", file, "--keep", keep)


def test_options_reach_the_library(file: Path, embeddings: NDArray[np.float32]) -> None:
    for method, options in (("random", {"seed": 3}), ("insertion", {"k": 4}), ("removal", {"k": 6})):
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        rows = succeed("select", file, "--method", method, "--threads", 1, *arguments).stdout.split()
        expected = pyredund.select(embeddings, 0.9, method=method, **options)  # type: ignore[arg-type]
        assert [int(row) for row in rows] == expected.indices.tolist()
    assert "k must be at most 59" in fail(1, "select", file, "--k", 60)
    assert "n_threads must be at least 1" in fail(1, "select", file, "--threads", 0)
    assert "'best' is not one of" in fail(2, "select", file, "--method", "best")


# Output


def test_every_output_holds_the_selection(
    tmp_path: Path, file: Path, embeddings: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyredund._selection_file.LINES_AT_ONCE", 7)
    expected = pyredund.select(embeddings, 0.8)
    for ending in ("txt", "npy", "csv", "json"):
        result = succeed("select", file, "--keep", "0.8", "-o", tmp_path / f"kept.{ending}")
        assert result.stdout == ""
        assert "Kept 48 of 60 rows (80.0%) and removed 12" in result.stderr
        assert f"Written to {tmp_path / f'kept.{ending}'}" in result.stderr
    kept = expected.indices.tolist()
    assert [int(line) for line in (tmp_path / "kept.txt").read_text().splitlines()] == kept
    array = np.load(tmp_path / "kept.npy", allow_pickle=False)
    assert array.dtype == np.int64
    assert array.tolist() == kept

    with (tmp_path / "kept.csv").open(newline="") as opened:
        table = list(csv.DictReader(opened))
    assert [int(line["row"]) for line in table] == list(range(60))
    assert [bool(int(line["kept"])) for line in table] == expected.mask.tolist()
    assert [int(line["representative"]) for line in table] == expected.representatives.tolist()
    assert [np.float32(line["similarity"]) for line in table] == expected.similarities.tolist()

    whole = json.loads((tmp_path / "kept.json").read_text())
    assert whole["kept"] == kept
    assert [pair["row"] for pair in whole["removed"]] == expected.removed.tolist()
    for pair in whole["removed"]:
        assert pair["representative"] == expected.representatives[pair["row"]]
        assert np.float32(pair["similarity"]) == expected.similarities[pair["row"]]
    assert whole["counts"] == {"rows": 60, "kept": 48, "removed": 12}
    files = {"groups": None, "reference": None, "must_keep": None}
    assert whole["parameters"] == {"file": str(file), "keep": 0.8, "method": "removal", "k": 32, "seed": 0, **files}


def test_outputs_are_the_same_bytes_again(tmp_path: Path, file: Path) -> None:
    for ending in ("txt", "npy", "csv", "json"):
        contents = set()
        for threads in (1, 2):
            path = tmp_path / f"kept.{ending}"
            succeed("select", file, "-o", path, "--threads", threads)
            contents.add(path.read_bytes())
        assert len(contents) == 1, ending


def test_dash_and_nothing_print_row_numbers(file: Path) -> None:
    assert succeed("select", file).stdout == succeed("select", file, "-o", "-").stdout


def test_json_summary_parses(tmp_path: Path, file: Path, embeddings: NDArray[np.float32]) -> None:
    expected = pyredund.select(embeddings, 0.8)
    short = json.loads(succeed("select", file, "--keep", "80%", "-o", tmp_path / "k.npy", "--json").stdout)
    assert short["counts"] == {"rows": 60, "kept": 48, "removed": 12}
    lost = expected.similarities[expected.removed].astype(np.float64)
    assert short["removed_similarity"]["mean"] == pytest.approx(lost.mean(), rel=1e-12)
    assert short["removed_similarity"]["min"] == lost.min()
    assert short["output"] == str(tmp_path / "k.npy")
    assert short["seconds"] >= 0
    assert "kept" not in short
    whole = json.loads(succeed("select", file, "--keep", "80%", "--json").stdout)
    assert whole["kept"] == expected.indices.tolist()
    assert len(whole["removed"]) == 12
    nothing = json.loads(succeed("select", file, "--keep", "100%", "--json").stdout)
    assert nothing["removed_similarity"] == {"mean": None, "min": None}


def test_quiet_says_nothing(tmp_path: Path, file: Path) -> None:
    result = succeed("select", file, "-o", tmp_path / "kept.txt", "--quiet")
    assert result.output == ""


def test_unknown_ending_is_refused_before_any_work(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyredund, "select", lambda *_, **__: pytest.fail("it computed"))
    message = fail(2, "select", file, "-o", tmp_path / "kept.xlsx")
    assert "kept.xlsx must end in .txt, .npy, .csv or .json" in message
    assert "there is no folder" in fail(2, "select", file, "-o", tmp_path / "nowhere" / "kept.txt")
    assert names_in(tmp_path) == ["embeddings.npy"]


def test_input_is_never_overwritten(tmp_path: Path, file: Path) -> None:
    before = file.read_bytes()
    link, hard = tmp_path / "link.npy", tmp_path / "hard.npy"
    link.symlink_to(file)
    os.link(file, hard)
    for output in (file, tmp_path / "." / "embeddings.npy", link, hard):
        assert "is the input file" in fail(2, "select", file, "-o", output)
    assert file.read_bytes() == before


def test_failed_write_leaves_the_old_file(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    output = tmp_path / "kept.txt"
    output.write_text("old\n")
    with monkeypatch.context() as patched:
        patched.setattr("pyredund._selection_file.kept_lines", full)
        assert "No space left on device" in fail(1, "select", file, "-o", output)
    assert output.read_text() == "old\n"
    assert names_in(tmp_path) == ["embeddings.npy", "kept.txt"]
    succeed("select", file, "-o", output)
    assert output.read_text() != "old\n"


# Other commands


def test_device_is_asked_for_and_its_failures_are_sentences(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        @staticmethod
        def why_no_device() -> str:
            return ""

        @staticmethod
        def device_names(most: int) -> list[str]:
            return ["GPU of a test", "another"][:most]

        @staticmethod
        def knn(*arguments: object) -> None:
            raise RuntimeError("cudaLaunchKernelExC failed: an illegal memory access was encountered")

    assert succeed("select", file, "--device", "cpu").stdout == succeed("select", file).stdout
    monkeypatch.setattr(_device, "_cuda", None)
    for command in ("select", "dedup"):
        assert "got 'cuda': this build of pyredund has no CUDA kernels" in fail(1, command, file, "--device", "cuda")
    assert "CUDA             no: this build" in succeed("info").stdout
    monkeypatch.setattr(_device, "_cuda", Broken)
    assert "Error: cudaLaunchKernelExC failed: an illegal" in fail(1, "select", file, "--device", "cuda")
    assert "CUDA             GPU of a test\n" in succeed("info").stdout
    monkeypatch.setenv("PYREDUND_NUM_GPUS", "3")
    assert json.loads(succeed("info", "--json").stdout)["gpus"] == ["GPU of a test", "another"]


def test_info_and_version() -> None:
    text = succeed("info").stdout
    for word in (pyredund.__version__, str(pyredund.show_config()["isa"]), np.__version__, "Threads", "CUDA", "Python"):
        assert word in text
    assert json.loads(succeed("info", "--json").stdout)["numpy"] == np.__version__
    assert pyredund.__version__ in succeed("--version").stdout


def test_bad_environment_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYREDUND_NUM_THREADS", "many")
    assert "PYREDUND_NUM_THREADS must be an integer" in fail(1, "info")


def test_memory_error_is_a_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def starve(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pyredund, "select", starve)
    assert fail(1, "select", file) == "Error: MemoryError"


def test_interrupt_while_writing_writes_nothing(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("pyredund._selection_file.kept_lines", interrupted)
    result = run("select", file, "-o", tmp_path / "kept.txt")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted: nothing was written\n"
    assert names_in(tmp_path) == ["embeddings.npy"]
