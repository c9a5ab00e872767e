from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import digit_pixels, spoil, write_digits

import pyredund

torch: Any = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from pyredund.embed.loss import nt_xent  # noqa: E402


def small(**arguments: Any) -> Any:
    return pyredund.Embedder(dim=16, device="cpu", **arguments)


@pytest.fixture(scope="module")
def fitted() -> Any:
    return small().fit(digit_pixels(200)[0], epochs=2, batch=50)


def reference_loss(first: Any, second: Any, temperature: float) -> float:
    """The definition, term by term."""
    rows = np.concatenate([first, second]).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    n = len(first)
    losses = []
    for a in range(2 * n):
        b = (a + n) % (2 * n)
        others = [np.exp(rows[a] @ rows[c] / temperature) for c in range(2 * n) if c != a]
        losses.append(-np.log(np.exp(rows[a] @ rows[b] / temperature) / sum(others)))
    return float(np.mean(losses))


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_loss_is_its_definition(temperature: float) -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 7, 5))
    found = float(nt_xent(torch.tensor(first), torch.tensor(second), temperature))
    assert found == pytest.approx(reference_loss(first, second, temperature), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_loss_and_its_gradient_are_those_of_another_library(temperature: float) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses")
    torch.manual_seed(0)
    first, second = torch.randn(2, 9, 5, requires_grad=True)
    found = nt_xent(first, second, temperature)
    expected = losses.SelfSupervisedLoss(losses.NTXentLoss(temperature=temperature))(first, second)
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    gradient, same = (torch.autograd.grad(loss, first, retain_graph=True)[0] for loss in (found, expected))
    torch.testing.assert_close(gradient, same, rtol=1e-4, atol=1e-5)


def test_training_lowers_the_loss_and_repeats_by_its_seed(fitted: Any) -> None:
    pixels = digit_pixels(200)[0]
    state = torch.random.get_rng_state()
    again = small().fit(pixels, epochs=2, batch=50)
    assert torch.equal(state, torch.random.get_rng_state())
    assert fitted.losses == again.losses
    assert fitted.losses[1] < fitted.losses[0]
    np.testing.assert_array_equal(fitted.embed(pixels).embeddings, again.embed(pixels).embeddings)
    assert small(seed=1).fit(pixels, epochs=1, batch=50).losses[0] != fitted.losses[0]


def test_loss_and_schedule_are_arguments(fitted: Any) -> None:
    pixels = digit_pixels(200)[0]
    seen: list[tuple[int, int]] = []

    def halved(first: Any, second: Any, temperature: float) -> Any:
        return nt_xent(first, second, temperature) / 2

    def never(step: int, steps: int) -> float:
        seen.append((step, steps))
        return 0.0

    embedder = small().fit(pixels, epochs=2, batch=50, loss=halved, schedule=never)
    assert seen == [(step, 8) for step in range(8)]
    assert embedder.losses[0] < fitted.losses[0] * 0.6
    untrained = small().fit(pixels, epochs=0)
    for trained, first in zip(embedder.network.parameters(), untrained.network.parameters(), strict=True):
        assert torch.equal(trained, first)  # at a rate of 0 nothing moves


def test_every_kind_of_input_gives_the_same_rows(fitted: Any, tmp_path: Path) -> None:
    pixels = write_digits(tmp_path / "images", 60)
    expected = fitted.embed(pixels)
    assert expected.embeddings.dtype == np.float32
    assert expected.embeddings.shape == (60, 16)
    np.testing.assert_allclose(np.linalg.norm(expected.embeddings, axis=1), 1, rtol=1e-6)
    names = [f"{number:04d}.png" for number in range(60)]
    paths = [tmp_path / "images" / name for name in names]
    items = [(torch.from_numpy(image)[None], 7) for image in pixels]
    kinds: dict[str, tuple[Any, list[Any]]] = {
        "folder": (tmp_path / "images", names),
        "paths": (paths, [str(path) for path in paths]),
        "floats": (pixels.astype(np.float32) / 255, list(range(60))),
        "channel": (pixels[..., None], list(range(60))),
        "tensor": (torch.from_numpy(pixels)[:, None], list(range(60))),
        "tuples": (items, list(range(60))),
        "dicts": ([{"image": image} for image in pixels], list(range(60))),
        "loader": (torch.utils.data.DataLoader(items, batch_size=9, shuffle=True), list(range(60))),
    }
    for kind, (images, ids) in kinds.items():
        found = fitted.embed(images)
        assert list(found.ids) == ids, kind
        assert found.skipped == []
        np.testing.assert_array_equal(found.embeddings, expected.embeddings, err_msg=kind)


@pytest.mark.parametrize("workers", [0, 2])
def test_unreadable_files_are_named_and_everything_still_lines_up(fitted: Any, tmp_path: Path, workers: int) -> None:
    pixels = write_digits(tmp_path, 40)
    expected = spoil(tmp_path)
    fitted.max_pixels, before = 100_000, fitted.max_pixels
    try:
        found = fitted.embed(tmp_path, workers=workers)
        with pytest.raises(ValueError, match=r"notes\.txt: its ending is none of .*on_error='skip'"):
            fitted.embed(tmp_path, workers=workers, on_error="raise")
    finally:
        fitted.max_pixels = before
    assert {skipped.id for skipped in found.skipped} == set(expected)
    for skipped in found.skipped:
        assert expected[str(skipped.id)] in skipped.reason
    rows = [number for number in range(40) if number not in (3, 5, 7, 9)]
    assert found.ids == [f"{number:04d}.png" for number in rows]
    np.testing.assert_allclose(found.embeddings, fitted.embed(pixels[rows]).embeddings, atol=1e-6)
    training = small(max_pixels=100_000).fit(tmp_path, epochs=1, workers=workers)
    assert {skipped.id for skipped in training.skipped} == set(expected)


def test_a_classifier_separates_its_classes() -> None:
    pixels, labels = digit_pixels(600)
    embedder = small().fit(pixels, labels, epochs=5, batch=50, augment=torch.nn.Identity())
    rows = embedder.embed(pixels).embeddings
    scores = rows @ rows.T
    np.fill_diagonal(scores, -1)
    assert np.mean(labels[scores.argmax(axis=1)] == labels) > 0.97


def test_names_of_folders_are_labels(tmp_path: Path) -> None:
    for name in ("left", "right"):
        write_digits(tmp_path / name, 20)
    by_folder = small().fit(tmp_path, "folders", epochs=1)
    assert by_folder.losses == small().fit(tmp_path, [0] * 20 + [1] * 20, epochs=1).losses


def test_saving_and_loading_keeps_every_bit(fitted: Any, tmp_path: Path) -> None:
    pixels = digit_pixels(60)[0]
    fitted.save(tmp_path / "model")
    loaded = pyredund.Embedder.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(fitted.embed(pixels).embeddings, loaded.embed(pixels).embeddings)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["embedder.safetensors"]
    (tmp_path / "model" / "embedder.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        pyredund.Embedder.load(tmp_path / "model")


@pytest.mark.parametrize("labelled", [False, True])
def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path, labelled: bool) -> None:
    pixels, targets = digit_pixels(120)
    labels = targets if labelled else None
    whole = small().fit(pixels, labels, epochs=3, batch=40)

    class Killed(Exception):
        pass

    calls = 0

    def dies(views: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > (26 if labelled else 52):  # in the third epoch
            raise Killed
        return augment(views)

    from pyredund.embed.augment import default_augment

    augment = default_augment((8, 8), 1, labelled)
    with pytest.raises(Killed):
        small().fit(pixels, labels, epochs=3, batch=40, augment=dies, checkpoint=tmp_path)
    resumed = small().fit(pixels, labels, epochs=3, batch=40, augment=augment, checkpoint=tmp_path, resume=True)
    assert resumed.losses == whole.losses
    np.testing.assert_array_equal(resumed.embed(pixels).embeddings, whole.embed(pixels).embeddings)
    with pytest.raises(ValueError, match=r"resume=True needs the settings .* epochs=3, now it is 4"):
        small().fit(pixels, labels, epochs=4, batch=40, checkpoint=tmp_path, resume=True)


def test_an_interrupted_embedding_goes_on_from_finished_blocks(
    fitted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyredund.embed import forward

    monkeypatch.setattr(forward, "BLOCK", 16)
    write_digits(tmp_path / "images", 60)
    spoil(tmp_path / "images")
    whole = fitted.embed(tmp_path / "images")
    original, calls = forward.forward, 0

    def dies(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(forward, "forward", dies)
    with pytest.raises(KeyboardInterrupt):
        fitted.embed(tmp_path / "images", blocks=tmp_path / "blocks")
    assert len(list((tmp_path / "blocks").iterdir())) == 2
    calls = 10
    found = fitted.embed(tmp_path / "images", blocks=tmp_path / "blocks")
    assert calls == 12  # two of four blocks were there
    np.testing.assert_array_equal(found.embeddings, whole.embeddings)
    assert (found.ids, found.skipped) == (whole.ids, whole.skipped)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_networks_of_torchvision_take_small_colour_images(name: str) -> None:
    images = np.random.default_rng(0).integers(256, size=(6, 32, 24, 3), dtype=np.uint8)
    found = pyredund.Embedder(name, 8, device="cpu").fit(images, epochs=1).embed(images)
    assert found.embeddings.shape == (6, 8)


def test_any_module_is_a_backbone_and_gets_colour_where_it_needs_it(tmp_path: Path) -> None:
    pixels = digit_pixels(20)[0]
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
    embedder = pyredund.Embedder(module, dim=None, device="cpu")
    found = embedder.embed(pixels)
    assert found.embeddings.shape == (20, 144)
    embedder.save(tmp_path)
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten())
    loaded = pyredund.Embedder.load(tmp_path, backbone=other, device="cpu")
    np.testing.assert_array_equal(loaded.embed(pixels).embeddings, found.embeddings)
    with pytest.raises(ValueError, match="backbone must be a module"):
        pyredund.Embedder.load(tmp_path)


def test_weights_from_a_file(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(256, size=(4, 32, 32, 3), dtype=np.uint8)
    from torchvision.models import get_model

    torch.save(get_model("resnet18").state_dict(), tmp_path / "weights.pt")
    found = pyredund.Embedder("resnet18", 8, weights=tmp_path / "weights.pt", device="cpu").embed(images)
    assert found.embeddings.shape == (4, 8)
    (tmp_path / "weights.pt").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="weights must be tensors by name"):
        pyredund.Embedder("resnet18", weights=tmp_path / "weights.pt", device="cpu").embed(images)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"backbone": "resnet1"}, ValueError, "backbone must be one of auto, small, resnet18"),
        ({"backbone": torch.nn.Linear}, TypeError, "got the class Linear"),
        ({"dim": 0}, ValueError, "dim must be at least 1, got 0"),
        ({"device": "tpu"}, ValueError, "device must be one of"),
        ({"backbone": "small", "weights": "imagenet"}, ValueError, "weights='imagenet' are for the backbones resnet18"),
    ],
)
def test_wrong_arguments_get_a_sentence(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pyredund.Embedder(**arguments)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (3, TypeError, "images must be a folder"),
        (np.zeros((0, 8, 8), np.uint8), ValueError, "images must hold at least 1"),
        (np.zeros((3, 8, 8, 2), np.uint8), ValueError, "got shape"),
        (np.full((3, 8, 8), np.nan, np.float32), ValueError, "floats from nan"),
        ("/nowhere", FileNotFoundError, "there is no /nowhere"),
        (np.zeros((1, 8, 8), np.uint8), ValueError, "at least 2 that can be read, got 1"),
    ],
)
def test_wrong_images_get_a_sentence(images: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        small().fit(images, epochs=1)


def test_embedding_needs_something_trained() -> None:
    with pytest.raises(ValueError, match="call fit first"):
        small().embed(digit_pixels(4)[0])
    with pytest.raises(ValueError, match="call fit first"):
        small().save("nowhere")


def test_without_torch_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pyredund.embed")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs torch, .*not installed here: pip install torch "):
        _ = pyredund.Embedder
