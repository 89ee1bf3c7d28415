"""One process with an oracle, and a few of them over one folder: features on disk are those that
`extract` gives.
"""

import hashlib
import json
import logging
import multiprocessing
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from workloads.datasets import Split
from workloads.datasets.encoded import EncodedImages
from workloads.distributed.worker import Worker
from workloads.evaluation.features.cache import cached_features, default_features
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.simclr.encoder import InputNormalization
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
FORK = multiprocessing.get_context("fork")
IMAGES, WIDTH = 1203, 24  # three batches, the last one incomplete
ENTRY = IMAGES * WIDTH * 4 + 128  # bytes, with the header


class Counting(nn.Module):
    """A small network with normalised images and batch normalisation that counts the batches it is
    given.
    """

    def __init__(self, seed: int = 0, delay: float = 0.0) -> None:
        super().__init__()
        self.normalize = InputNormalization("imagenet")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(nn.Conv2d(3, WIDTH, 3), nn.BatchNorm2d(WIDTH), nn.ReLU())
        self.calls, self.delay = 0, delay

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        time.sleep(self.delay)
        h: Tensor = self.layers(self.normalize(images)).mean(dim=(2, 3))
        return h


def images(count: int = IMAGES, seed: int = 0) -> Split:
    generator = np.random.default_rng(seed)
    stored = generator.integers(0, 256, (count + 7, 3, 8, 8), dtype=np.uint8)
    rows = np.sort(generator.permutation(count + 7)[:count])
    return Split(stored, rows % 10, rows)


def ask(
    encoder: nn.Module, split: Split, cache: Path, view_size: int = 8, content: str = "c"
) -> NDArray[np.float32]:
    return cached_features(
        FrozenEncoder(encoder, view_size, CPU), split, content=content, cache=cache
    )


def left_in(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir() if path.suffix != ".lock")


def test_they_are_the_extracted_features_bit_for_bit_and_computed_once(tmp_path: Path) -> None:
    encoder, split = Counting().train(), images()
    expected = FrozenEncoder(encoder, 6, CPU).features(split)
    encoder.calls = 0
    for _ in range(3):
        features = ask(encoder, split, tmp_path, view_size=6)
        assert isinstance(features, np.memmap)
        assert features.dtype == np.float32
        assert features.tobytes() == expected.tobytes()
        assert encoder.calls == 3
        assert encoder.training, "the mode is put back"
    again = Counting().train()
    assert ask(again, split, tmp_path, view_size=6).tobytes() == expected.tobytes()
    assert again.calls == 0
    assert left_in(tmp_path) == [".npy"]


def test_what_a_caller_does_to_them_stays_with_the_caller(tmp_path: Path) -> None:
    encoder, split = Counting(), images(20)
    first = ask(encoder, split, tmp_path)
    before = first.copy()
    torch.from_numpy(first).zero_()  # and torch shares them without a warning
    assert np.array_equal(ask(encoder, split, tmp_path), before)


def with_another_weight(encoder: Counting, split: Split) -> tuple[Counting, Split]:
    encoder.get_parameter("layers.0.bias").data[3] += 1e-6
    return encoder, split


def with_another_statistic(encoder: Counting, split: Split) -> tuple[Counting, Split]:
    encoder.get_buffer("layers.1.running_var")[0] += 1
    return encoder, split


def with_other_statistics_of_images(encoder: Counting, split: Split) -> tuple[Counting, Split]:
    """Which are neither part of the state nor of what the network says of itself."""
    encoder.normalize = InputNormalization("cifar10")
    return encoder, split


def with_another_activation(encoder: Counting, split: Split) -> tuple[Counting, Split]:
    encoder.layers[2] = nn.Tanh()
    return encoder, split


def with_another_order(encoder: Counting, split: Split) -> tuple[Counting, Split]:
    return encoder, replace(split, index=split.index[::-1].copy())


def with_other_labels(encoder: Counting, split: Split) -> tuple[Counting, Split]:
    return encoder, replace(split, labels=(split.labels + 1) % 10)


def of_the_other_half(encoder: Counting, split: Split) -> tuple[Counting, Split]:
    """As the test images may have the rows and the labels of the training images."""
    return encoder, replace(split, images=255 - split.images)


@pytest.mark.parametrize(
    "change",
    [
        with_another_weight,
        with_another_statistic,
        with_other_statistics_of_images,
        with_another_activation,
        with_another_order,
        with_other_labels,
        of_the_other_half,
    ],
)
def test_whatever_changes_them_is_another_entry(
    change: Callable[[Counting, Split], tuple[Counting, Split]], tmp_path: Path
) -> None:
    ask(Counting(), images(40), tmp_path)
    encoder, split = change(Counting(), images(40))
    assert np.array_equal(
        ask(encoder, split, tmp_path), FrozenEncoder(encoder, 8, CPU).features(split)
    )
    assert left_in(tmp_path) == [".npy"] * 2


def test_size_content_and_precision_are_part_of_the_key(tmp_path: Path) -> None:
    encoder, split = Counting(), images(40)
    ask(encoder, split, tmp_path)
    ask(encoder, split, tmp_path, view_size=6)
    ask(encoder, split, tmp_path, content="d")
    rounded = cached_features(
        FrozenEncoder(encoder, 8, CPU, bf16=True), split, content="c", cache=tmp_path
    )
    assert encoder.calls == 4
    assert not np.array_equal(rounded, ask(encoder, split, tmp_path))
    assert encoder.calls == 4
    # The same images elsewhere: another copy of the data, or another subset of them that has
    # these rows.
    elsewhere = replace(split, images=split.images.copy())
    ask(encoder, elsewhere, tmp_path)
    assert encoder.calls == 4


def test_memory_holds_one_batch_at_a_time(tmp_path: Path) -> None:
    """What is in the file grows with each batch, instead of at the end."""

    class Watching(Counting):
        def forward(self, images: Tensor) -> Tensor:
            sizes.append(sum(path.stat().st_size for path in tmp_path.glob("*.partial")))
            return super().forward(images)

    sizes: list[int] = []
    ask(Watching(), images(), tmp_path)
    batch = 500 * WIDTH * 4
    assert sizes == [0, 128 + batch, 128 + 2 * batch]


# Bounded


def test_the_entries_asked_for_longest_ago_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_FEATURES_GB", str(3.5 * ENTRY / 2**30))  # room for three
    split, encoders = images(), [Counting(seed) for seed in range(4)]
    for encoder in encoders[:3]:
        ask(encoder, split, tmp_path)
    ask(encoders[0], split, tmp_path)  # the second is the oldest now
    ask(encoders[3], split, tmp_path)
    assert left_in(tmp_path) == [".npy"] * 3
    for encoder in encoders:
        encoder.calls = 0
    for number in (0, 2, 3):
        ask(encoders[number], split, tmp_path)
    assert [encoder.calls for encoder in encoders] == [0, 0, 0, 0]
    ask(encoders[1], split, tmp_path)
    assert encoders[1].calls == 3


def test_the_entry_in_use_is_kept_and_a_deleted_one_stays_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_FEATURES_GB", "0")
    split = images()
    first = ask(Counting(0), split, tmp_path)
    second = ask(Counting(1), split, tmp_path)
    assert left_in(tmp_path) == [".npy"]
    for features, seed in ((first, 0), (second, 1)):
        assert np.array_equal(features, FrozenEncoder(Counting(seed), 8, CPU).features(split))
    encoder = Counting(1)
    ask(encoder, split, tmp_path)
    assert encoder.calls == 0


@pytest.mark.parametrize("limit", ["much", "-1", "nan"])
def test_a_limit_that_is_none_is_refused(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_FEATURES_GB", limit)
    with pytest.raises(SpecError, match=f"SIMCLR_ORCH_FEATURES_GB='{limit}'"):
        ask(Counting(), images(20), tmp_path)


def test_the_folder_is_beside_the_decoded_images_unless_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIMCLR_ORCH_FEATURES", raising=False)
    monkeypatch.setenv("SIMCLR_ORCH_CACHE", str(tmp_path / "decoded"))
    assert default_features() == tmp_path / "features"
    monkeypatch.setenv("SIMCLR_ORCH_FEATURES", str(tmp_path / "chosen"))
    cached_features(FrozenEncoder(Counting(), 8, CPU), images(20), content="c")
    assert left_in(tmp_path / "chosen") == [".npy"]


# When things go wrong


def test_a_folder_that_cannot_be_written_costs_only_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    encoder, split = Counting().train(), images(20)
    with caplog.at_level(logging.WARNING):
        features = ask(encoder, split, tmp_path / "file" / "folder")
    assert np.array_equal(features, FrozenEncoder(encoder, 8, CPU).features(split))
    assert "features are not cached" in caplog.text
    assert encoder.training


def test_an_encoder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Failing(Counting):
        def forward(self, images: Tensor) -> Tensor:
            if self.calls == 2:
                raise RuntimeError("of the encoder")
            return super().forward(images)

    encoder = Failing().train()
    with pytest.raises(RuntimeError, match="of the encoder"):
        ask(encoder, images(), tmp_path)
    assert left_in(tmp_path) == []
    assert encoder.training


def test_images_that_are_lost_are_not_mistaken_for_a_folder_that_cannot_be_written(
    tmp_path: Path,
) -> None:
    file = BytesIO()
    Image.new("RGB", (8, 8)).save(file, "png")

    def read(record: np.void) -> bytes:
        if record["row"] == 17:
            raise FileNotFoundError("a shard")
        return file.getvalue()

    records = np.array([(row,) for row in range(40)], np.dtype([("row", np.int64)]))
    split = replace(images(40), images=EncodedImages(records, 8, read, str), index=np.arange(40))
    with pytest.raises(RuntimeError, match="images cannot be read: a shard"):
        ask(Counting(), split, tmp_path)
    assert left_in(tmp_path) == []


# Several processes


def say(encoder: Counting, folder: Path, said: Path) -> None:
    """Ask for the features, and write down how many batches that took and the digest of what
    came.
    """
    logging.basicConfig(filename=said.with_suffix(".log"), force=True)
    features = ask(encoder, images(), folder)
    said.write_text(f"{encoder.calls} {hashlib.sha256(features.tobytes()).hexdigest()}")


def limited(folder: Path, said: Path) -> None:
    """As on a full disk: the system does not let this process's files grow beyond the first
    batch.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ENTRY // 2, ENTRY // 2))
    say(Counting(), folder, said)


def ask_at_once(folder: Path) -> None:
    said = [folder.with_name(f"{folder.name}-{number}") for number in range(2)]
    processes = [
        FORK.Process(target=say, args=(Counting(delay=0.3), folder, path)) for path in said
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def kill_one(folder: Path) -> dict[str, list[str]]:
    process = FORK.Process(target=say, args=(Counting(delay=60), folder, folder.with_name("never")))
    process.start()
    while process.is_alive() and not list(folder.glob("*.partial")):
        time.sleep(0.01)
    ask(Counting(1), images(20), folder)
    left = {"while it lives": left_in(folder)}
    process.kill()
    process.join()
    left["killed"] = left_in(folder)
    ask(Counting(2), images(20), folder)
    return left | {"after another": left_in(folder)}


def play(folder: Path) -> None:
    """Everything that takes several processes, for one import of torch."""
    torch.set_num_threads(1)
    for name in ("at-once", "killed", "full"):
        (folder / name).mkdir()
    ask_at_once(folder / "at-once")
    full = FORK.Process(target=limited, args=(folder / "full", folder / "full-0"))
    full.start()
    full.join()
    (folder / "left.json").write_text(json.dumps(kill_one(folder / "killed")))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, as_script: Callable[..., None]) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    as_script(__file__, folder)
    return folder


@pytest.fixture(scope="module")
def expected() -> str:
    return hashlib.sha256(
        FrozenEncoder(Counting(), 8, CPU).features(images()).tobytes()
    ).hexdigest()


def test_processes_that_ask_at_once_compute_once(played: Path, expected: str) -> None:
    said = [(played / f"at-once-{number}").read_text().split() for number in range(2)]
    assert sorted(calls for calls, _ in said) == ["0", "3"]
    assert {features for _, features in said} == {expected}
    assert left_in(played / "at-once") == [".npy"]


def test_what_a_killed_process_left_is_thrown_away(played: Path) -> None:
    """Neither does it leave an entry, nor is the half-written file of a process that lives taken
    from it.
    """
    left = json.loads((played / "left.json").read_text())
    assert left == {
        "while it lives": [".npy", ".partial"],
        "killed": [".npy", ".partial"],
        "after another": [".npy", ".npy"],
    }


def test_a_full_disk_leaves_the_features_in_memory(played: Path, expected: str) -> None:
    assert (played / "full-0").read_text().split()[1] == expected
    assert "features are not cached" in (played / "full-0.log").read_text()
    assert left_in(played / "full") == []


if __name__ == "__main__":
    # One import of torch for all: it has started no threads yet, so that its process may be forked.
    play(Path(sys.argv[1]))
