"""Milliseconds (one test starts a process): what a specification refuses, and what its fingerprint
depends on.
"""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import ValidationError

from workloads.option_values import Options
from workloads.simclr.spec import RunSpec
from workloads.spec import Part, SpecError, digest
from workloads.written import read_assignments, read_yaml

# Every field of this one can change the result, but for those in UNREAD.
RICH = RunSpec.read(
    {
        "data": {
            "name": "image-folder",
            "root": "images",
            "image_size": 32,
            "train_images": 500,
            "test_images": 100,
        },
        "augment": {
            "operations": ["rotate", "crop", "cutout", "color", "sobel", "noise", "blur"],
            "output_size": 24,
        },
        "head": {"hidden_dim": 64},
        "schedule": {"epochs": 20, "batch_size": 256},
    }
)
# The same with everything that came later. Finished runs of before are still found: RICH's
# fingerprint is pinned below.
FULL = RICH.with_values(
    {
        "augment.operations": [
            *RICH.augment.operations,
            "solarize",
            "equalize",
            "motion_blur",
            "auto_augment",
        ],
        "eval.probe.tasks": ["color", "noise"],
        "eval.finetune.labels": [0.1, 1.0],
        "eval.finetune.epochs": [5],
        "eval.finetune.subset_files": "lists",
        "eval.transfer.protocols": ["linear", "finetune"],
        "eval.transfer.data.name": "image-folder",
        "eval.transfer.data.root": "others",
        "eval.knn.k_choices": [1, 5],
        "eval.knn.temperature_choices": [0.1, 0.2],
    }
)
UNREAD = {
    # of other rules and losses
    *("optim.anchor_batch_size", "loss.margin", "loss.semi_hard", "loss.negative_reduction"),
    *("checkpoint.every_minutes", "checkpoint.keep"),  # how states are kept changes no result
    *("init.prefix", "init.ignore"),  # of given weights only, see READ_FIELDS
    *("encoder.code", "loss.code", "optim.code"),  # of own parts only, see READ_FIELDS
    "eval.transfer.data.image_size",  # follows from the views
    *("data.code", "eval.transfer.data.code"),  # of own data only, see READ_FIELDS
    # of textures only, see READ_FIELDS
    *("data.palette", "data.arrangement"),
    *("eval.transfer.data.palette", "eval.transfer.data.arrangement"),
}
READ_WITHOUT_TRAINING = (
    "init.",
    "data.",
    "encoder.",
    "eval.",
    "seed",
    "precision",
    "augment.output_size",
    "schedule.epochs",
)


def problems(values: Mapping[str, Any]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        RunSpec().with_values(values)
    return caught.value.problems


def choices(annotation: Any) -> list[Any]:
    """The values of every Literal in an annotation."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for inner in get_args(annotation) for choice in choices(inner)]


def annotation_of(path: str) -> Any:
    *parents, name = path.split(".")
    part: type[Part] = RunSpec
    for parent in parents:
        inner = part.model_fields[parent].annotation
        if inner is Options:
            return Any
        assert isinstance(inner, type)
        assert issubclass(inner, Part)
        part = inner
    return part.model_fields[name].annotation


def with_another_value(spec: RunSpec, path: str) -> RunSpec:
    """The specification with one field changed to some other valid value."""
    value = spec.flat()[path]
    candidates: list[Any] = choices(annotation_of(path))
    match value:
        case bool():
            candidates = [not value]
        case int() | float():
            candidates += [value + 1, value * 0.9, value / 2 or 0.5]
        case list():
            candidates = [value[:-1]]
        case _:
            candidates += [16, "elsewhere", [1, 2, 3], [0.5, 1.0]]
    if path == "schedule.chunk":  # which has to divide the batch
        candidates = [spec.schedule.batch_size // 2]
    if path == "schedule.image_sizes":
        candidates = [[[16, 1.0]]]
    if path == "eval.metrics.names":
        candidates = [["my:size"]]
    for candidate in candidates:
        try:
            changed = spec.with_values({path: candidate})
        except SpecError:
            continue
        if changed.flat()[path] != value:
            return changed
    raise AssertionError(f"found no other value for {path}={value!r}")


# What is refused


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("loss.temperature", 0, "greater than 0"),
        ("loss.temperature", float("inf"), "finite"),
        ("loss.temperature", "warm", "valid number"),
        ("loss.negatives", "all", "'both' or 'cross'"),
        ("augment.color.strength", 3, "less than or equal to 2.5"),
        ("head.num_linear_layers", 5, "less than or equal to 4"),
        ("head.num_linear_layers", 1.5, "integer"),
        ("schedule.batch_size", None, "integer"),
        ("schedule.warmup_epochs", 101, "longer than schedule.epochs=100"),
        ("augment.crop.max_area", 0.05, "augment.crop.min_area=0.08: is above"),
        ("augment.crop.min_aspect", 2, "max_aspect=1.333"),
        ("augment.blur.min_sigma", 3, "max_sigma=2.0"),
        ("augment.rotate.angles", [90, 90], "none twice"),
        ("augment.rotate.angles", [45], "0, 90, 180 or 270"),
        ("augment.operations", [], "at least one"),
        ("augment.output_size", 64, "data.image_size=32"),
        ("eval.l2", [0.1, 0.01], "increasing"),
        ("data.name", "mnits", "shapes, textures, digits"),
        ("data.root", "images", "'shapes' takes no root"),
        ("data.palette", "shared", "only of data.name='textures', not of 'shapes'"),
        ("data.arrangement", "shared", "only of data.name='textures', not of 'shapes'"),
        ("data.palette", "own", "'per-image' or 'shared'"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_valid(field: str, value: Any, expected: str) -> None:
    (problem,) = problems({field: value})
    group, _, name = field.rpartition(".")
    assert problem.startswith(group)
    assert name in problem
    assert str(value).strip("[]") in problem
    assert expected in problem


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("loss.temprature", "did you mean loss.temperature?"),
        ("temperature", "did you mean loss.temperature or eval.knn.temperature?"),
        ("color.strength", "did you mean augment.color.strength?"),
        ("temprature", "did you mean loss.temperature or eval.knn.temperature?"),
        ("root", "did you mean data.root or eval.transfer.data.root?"),
        (
            "loss.tau",
            "(fields of loss: name, temperature, normalize, negatives, reduction, margin, "
            "semi_hard,",
        ),
        ("model", "(fields of the specification: data, augment, encoder,"),
        ("loss", "set one of loss.name, loss.temperature, loss.normalize"),
        ("augment.crop", "set one of augment.crop.min_area"),
        ("seed.first", "seed is a value"),
        ("augment.operations.0", "augment.operations is a value"),
    ],
)
def test_an_unknown_field_is_named_with_the_known_ones(field: str, expected: str) -> None:
    (problem,) = problems({field: 1})
    assert problem.startswith(f"{field}: ")
    assert expected in problem


def test_the_data_of_a_transfer_are_named_where_they_are_wrong() -> None:
    (palette,) = problems({"eval.transfer.data.palette": "shared"})
    assert palette.startswith("eval.transfer.data.palette='shared': only of data.name='textures'")
    root = {"eval.transfer.data.root": "others"}
    later = RunSpec().with_values(root)  # the cells of an ablation name the data
    assert later.eval.transfer.data.root == "others"
    (embedded,) = problems(root | {"eval.transfer.protocols": ["linear"]})
    assert embedded.startswith("eval.transfer.data.root='others': the embedded data set 'shapes'")


def test_every_problem_is_listed_at_once() -> None:
    found = problems(
        {
            "loss.temprature": 0.1,
            "seed": -1,
            "encoder.architecture": "vit",
            "schedule.warmup_epochs": 200,
            "augment": {},
        }
    )
    assert len(found) == 5
    for field in (
        "loss.temprature",
        "seed=-1",
        "encoder.architecture='vit'",
        "schedule.warmup_epochs=200",
        "augment: ",
    ):
        assert sum(problem.startswith(field) for problem in found) == 1


def test_a_tree_lists_every_problem_at_once() -> None:
    tree = {
        "loss": {"tau": 1, "temperature": -1},
        "optim": [1],
        "augmentation": {},
        "head.output_dim": 3,
    }
    with pytest.raises(SpecError) as caught:
        RunSpec.read(tree)
    assert len(caught.value.problems) == 5
    for start in (
        "loss.tau: no such field",
        "loss.temperature=-1",
        "optim=[1]",
        "augmentation: no such field",
    ):
        assert sum(problem.startswith(start) for problem in caught.value.problems) == 1
    assert any(
        line.startswith("head.output_dim: ") and "without dots" in line
        for line in caught.value.problems
    )
    assert str(caught.value).splitlines() == caught.value.problems


def test_spec_errors_travel_between_processes() -> None:
    error = SpecError(["seed=-1: is negative", "loss: is missing"])
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


# Changing and keeping


def test_with_values_validates_a_copy() -> None:
    spec = RunSpec()
    changed = spec.with_values(
        {"loss.temperature": "0.5", "augment.operations": ["crop"], "seed": 3}
    )
    assert (changed.loss.temperature, changed.augment.operations, changed.seed) == (
        0.5,
        ("crop",),
        3,
    )
    assert spec == RunSpec()
    untouched = set(spec.flat()) - {"loss.temperature", "augment.operations", "seed"}
    assert all(changed.flat()[field] == spec.flat()[field] for field in untouched)


def test_with_values_takes_changes_that_are_valid_only_together() -> None:
    spec = RunSpec().with_values({"schedule.epochs": 5, "schedule.warmup_epochs": 1})
    assert (
        spec.with_values({"schedule.warmup_epochs": 50, "schedule.epochs": 60}).schedule.epochs
        == 60
    )


def test_specifications_are_frozen() -> None:
    spec = RunSpec()
    with pytest.raises(ValidationError, match="frozen"):
        spec.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        spec.loss.temperature = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("spec", [RunSpec(), RICH], ids=["default", "rich"])
def test_a_specification_survives_yaml_and_json(spec: RunSpec) -> None:
    for tree in (
        spec.tree(),
        yaml.safe_load(yaml.safe_dump(spec.tree())),
        json.loads(json.dumps(spec.tree())),
    ):
        again = RunSpec.read(tree)
        assert again == spec
        assert again.fingerprint() == spec.fingerprint()


def test_flat_names_every_leaf_as_with_values_takes_it() -> None:
    flat = RICH.flat()
    assert flat["loss.temperature"] == 0.1
    assert flat["eval.knn.k"] == 200
    assert RunSpec().with_values(flat) == RICH


# Text


def test_assignments_are_yaml() -> None:
    read = read_assignments(
        ["a.b=0.1", "c=1e-3", "d=[crop, color]", "e=null", "f=x=y", " g = true", "h="], RunSpec
    )
    assert read == {
        "a.b": 0.1,
        "c": "1e-3",
        "d": ["crop", "color"],
        "e": None,
        "f": "x=y",
        "g": True,
        "h": None,
    }
    assert RunSpec().with_values({"optim.weight_decay": "1e-3"}).optim.weight_decay == 1e-3


def test_assignments_list_every_problem() -> None:
    with pytest.raises(SpecError) as caught:
        read_assignments(["seed", "=3", "loss.temperature=[", "seed=1", "seed=2"], RunSpec)
    texts = [
        "--set seed: is not of the form",
        "--set =3: is not of the form",
        "not YAML",
        "seed is set twice",
    ]
    for text in texts:
        assert any(text in problem for problem in caught.value.problems)


def test_yaml_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    broken, listing, binary = (
        tmp_path / name for name in ("broken.yaml", "list.yaml", "binary.yaml")
    )
    broken.write_text("loss: {")
    listing.write_text("- 1")
    binary.write_bytes(b"\xff\xfe\x00")
    for path, reason in (
        (tmp_path / "none", "cannot be read"),
        (broken, "is not YAML"),
        (listing, "no fields"),
        (binary, "cannot be read"),
    ):
        with pytest.raises(SpecError, match=reason) as caught:
            read_yaml(path)
        assert str(path) in str(caught.value)
    listing.write_text(yaml.safe_dump(RICH.tree()))
    assert RunSpec.read(read_yaml(listing)) == RICH


# Fingerprints


def test_digest_is_pinned() -> None:
    tree = {"b": [0.1, 1e-06, None, True], "a": {"ä": "x"}}
    assert digest(tree) == digest(dict(reversed(tree.items()))) == "91037686ea1fca35a24f"


def test_fingerprint_is_pinned() -> None:
    """Another value means that finished runs are not recognised: wanted only when results
    change.
    """
    assert RICH.fingerprint() == "95832d2752269cc8bd3c"


def test_fingerprint_is_the_same_in_every_process(repository: Path) -> None:
    code = (
        "import json, sys; from workloads.simclr.spec import RunSpec; "
        "print(RunSpec.read(json.load(sys.stdin)).fingerprint())"
    )
    tree = dict(reversed(RICH.tree().items()))
    for hash_seed in ("1", "2"):
        process = subprocess.run(
            [sys.executable, "-c", code],
            input=json.dumps(tree),
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=repository,
            capture_output=True,
            text=True,
            check=True,
        )
        assert process.stdout.strip() == RICH.fingerprint()


@pytest.mark.parametrize("field", [field for field in FULL.flat() if field not in UNREAD])
def test_fingerprint_changes_with_every_field_that_matters(field: str) -> None:
    assert with_another_value(FULL, field).fingerprint() != FULL.fingerprint()


def test_what_is_evaluated_otherwise_is_trained_alike() -> None:
    evaluated = FULL.with_values(
        {"eval.protocol": "sgd", "eval.finetune.labels": [0.01], "eval.probe.tasks": []}
    )
    assert evaluated.fingerprint() != FULL.fingerprint()
    assert (
        evaluated.training_fingerprint()
        == FULL.training_fingerprint()
        == FULL.with_values(
            {"augment.color.grayscale_probability": FULL.augment.color.grayscale_probability}
        ).training_fingerprint()
    )
    assert RICH.training_fingerprint() != FULL.training_fingerprint(), "other views"
    assert RICH.with_values({"seed": 1}).training_fingerprint() != RICH.training_fingerprint()
    online = RICH.with_values({"eval.online": True})
    assert online.training_fingerprint() != RICH.training_fingerprint(), (
        "its state has the online classifier, too"
    )
    assert RICH.with_values({"schedule.epochs": 0}).training_fingerprint() is None


@pytest.mark.parametrize(
    "field", [field for field in RICH.flat() if not field.startswith(READ_WITHOUT_TRAINING)]
)
def test_fingerprint_of_an_untrained_encoder_leaves_out_all_training(field: str) -> None:
    untrained = RICH.with_values({"schedule.epochs": 0, "schedule.batch_size": 300})
    assert with_another_value(untrained, field).fingerprint() == untrained.fingerprint()


@pytest.mark.parametrize(
    "field",
    [
        field
        for field in FULL.flat()
        if field.startswith((*READ_WITHOUT_TRAINING, "head.output_dim"))
        and field not in {"eval.online", *UNREAD}
    ],
)
def test_fingerprint_of_an_untrained_encoder_keeps_the_rest(field: str) -> None:
    untrained = FULL.with_values({"schedule.epochs": 0, "schedule.warmup_epochs": 0})
    assert with_another_value(untrained, field).fingerprint() != untrained.fingerprint()


UNREAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    # Equal weights are equal wherever they lie, and whatever else is in the file.
    ({"init.weights": "a.pth", "init.content": "abc"}, "init.weights"),
    ({"init.weights": "a.pth", "init.content": "abc"}, "init.prefix"),
    ({"augment.operations": ["crop", "color"]}, "augment.blur.max_sigma"),
    ({"augment.operations": ["crop", "color"]}, "augment.blur.probability"),
    ({"augment.operations": ["crop", "blur"]}, "augment.color.strength"),
    ({"augment.operations": ["crop", "blur"]}, "augment.noise.std"),
    ({"augment.operations": ["crop", "blur"]}, "augment.cutout.fill"),
    ({"augment.operations": ["crop", "blur"]}, "augment.rotate.angles"),
    ({"augment.operations": ["color"]}, "augment.crop.min_area"),
    ({"augment.operations": ["color"]}, "augment.crop.interpolation"),
    ({"head.num_linear_layers": 0}, "head.output_dim"),
    ({"head.num_linear_layers": 0}, "head.hidden_dim"),
    ({"head.num_linear_layers": 0}, "head.batch_norm"),
    ({"head.num_linear_layers": 1}, "head.hidden_dim"),
    ({"optim.name": "sgd"}, "optim.trust_coefficient"),
    ({"optim.name": "adamw"}, "optim.trust_coefficient"),
    ({"optim.scaling": "none"}, "optim.anchor_batch_size"),
    ({"loss.name": "cross-entropy"}, "head.num_linear_layers"),
    ({"loss.name": "cross-entropy"}, "loss.temperature"),
    ({"loss.name": "nt-logistic"}, "loss.negatives"),
    ({"loss.name": "nt-logistic"}, "loss.margin"),
    ({"loss.name": "margin-triplet"}, "loss.negatives"),
    ({}, "loss.margin"),
    ({}, "eval.probe.epochs"),
    ({"augment.operations": ["crop", "blur"]}, "augment.solarize.threshold"),
    ({}, "eval.finetune.base_learning_rate"),
    ({}, "eval.transfer.steps"),
    ({"schedule.epochs": 0, "schedule.warmup_epochs": 0}, "eval.online"),
    *(({"encoder.architecture": "my:Net"}, f"encoder.{field}") for field in ("width", "stem")),
    ({"optim.name": "my:optimizer"}, "optim.momentum"),
    ({"optim.name": "my:optimizer"}, "optim.trust_coefficient"),
    ({"loss.name": "my:loss"}, "loss.reduction"),
    ({}, "optim.scaling"),  # linear and sqrt agree at the anchor of 4096
]


@pytest.mark.parametrize(("configuration", "field"), UNREAD_FIELDS)
def test_fingerprint_leaves_out_what_the_run_never_reads(
    configuration: dict[str, Any], field: str
) -> None:
    spec = RunSpec().with_values(configuration)
    assert with_another_value(spec, field).fingerprint() == spec.fingerprint()


UNTRAINED = {"schedule.epochs": 0, "schedule.warmup_epochs": 0}
BY_ALTERNATIVES = ("semi_hard", "negative_reduction", "temperature", "normalize", "reduction")
READ_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"init.weights": "a.pth"}, "init.prefix"),
    ({"encoder.architecture": "my:Net"}, "encoder.code"),
    ({"encoder.architecture": "my:Net"}, "encoder.architecture"),
    ({"encoder.architecture": "my:Net", **UNTRAINED}, "encoder.code"),
    ({"encoder.architecture": "my:Net", "encoder.options.depth": 3}, "encoder.options.depth"),
    ({"loss.name": "my:loss", "loss.options.margin": 3}, "loss.options.margin"),
    ({"loss.name": "my:loss"}, "loss.code"),
    ({"loss.name": "my:loss"}, "loss.temperature"),  # of the entropy that is logged
    ({"optim.name": "my:optimizer", "optim.options.gamma": 3}, "optim.options.gamma"),
    ({"optim.name": "my:optimizer"}, "optim.code"),
    ({"optim.name": "my:optimizer"}, "optim.weight_decay"),
    ({"data.name": "my:data"}, "data.code"),
    ({"augment.operations": ["color"], "augment.branches": "one"}, "augment.crop.min_area"),
    ({"head.num_linear_layers": 1}, "head.output_dim"),
    ({"head.num_linear_layers": 1}, "head.batch_norm"),
    ({"optim.scaling": "sqrt"}, "optim.anchor_batch_size"),
    ({"schedule.batch_size": 256}, "optim.scaling"),
    ({"optim.name": "sgd"}, "optim.momentum"),
    *(
        ({"loss.name": name}, f"loss.{field}")
        for name in ("nt-logistic", "margin-triplet")
        for field in BY_ALTERNATIVES
    ),
    ({"loss.name": "margin-triplet"}, "loss.margin"),
    ({"loss.name": "cross-entropy"}, "augment.color.strength"),
    ({"augment.operations": ["noise"]}, "augment.noise.probability"),
    ({"augment.operations": ["sobel"]}, "augment.sobel.probability"),
    (
        {"augment.operations": ["crop"], "eval.probe.tasks": ["color"]},
        "augment.color.grayscale_probability",
    ),
    ({"eval.probe.tasks": ["color"], **UNTRAINED}, "augment.color.grayscale_probability"),
    ({}, "loss.name"),
    ({}, "eval.projection"),
    *(
        ({"data.name": "textures", **trained}, f"data.{field}")
        for field in ("palette", "arrangement")
        for trained in ({}, UNTRAINED)
    ),
    *(
        (
            {"eval.transfer.protocols": ["linear"], "eval.transfer.data.name": "textures"},
            f"eval.transfer.data.{field}",
        )
        for field in ("palette", "arrangement")
    ),
]


@pytest.mark.parametrize(("configuration", "field"), READ_FIELDS)
def test_fingerprint_keeps_what_the_run_does_read(
    configuration: dict[str, Any], field: str
) -> None:
    spec = RunSpec().with_values(configuration)
    assert with_another_value(spec, field).fingerprint() != spec.fingerprint()


@pytest.mark.parametrize("field", ["augment.crop.interpolation", "augment.crop.antialias"])
def test_fingerprint_keeps_how_the_whole_image_is_resized(field: str) -> None:
    """Without a crop, a stored image is brought to a smaller view by the crop's interpolation."""
    spec = RunSpec().with_values({"augment.operations": ["color"], "augment.output_size": 16})
    assert with_another_value(spec, field).fingerprint() != spec.fingerprint()


def test_fingerprint_takes_the_content_of_a_folder_for_its_path() -> None:
    pinned = RICH.with_values({"data.content": "0a1b"})
    assert pinned.with_values({"data.root": "/elsewhere"}).fingerprint() == pinned.fingerprint()
    assert pinned.with_values({"data.content": "0a1c"}).fingerprint() != pinned.fingerprint()


def test_fingerprint_takes_the_content_of_lists_for_their_path() -> None:
    """And of finished runs whose lists were not pinned, it is what it was."""
    assert FULL.fingerprint() == "87998b8590cb42a79b91"
    pinned = FULL.with_values({"eval.finetune.subset_content": "0a1b"})
    assert (
        pinned.with_values({"eval.finetune.subset_files": "/elsewhere"}).fingerprint()
        == pinned.fingerprint()
    )
    assert (
        pinned.with_values({"eval.finetune.subset_content": "0a1c"}).fingerprint()
        != pinned.fingerprint()
    )
    assert FULL.fingerprint() != pinned.fingerprint()


def test_fingerprint_takes_the_size_of_the_views_however_it_is_given() -> None:
    assert (
        RunSpec().with_values({"augment.output_size": 32}).fingerprint() == RunSpec().fingerprint()
    )


# Learning rates


@pytest.mark.parametrize(
    ("batch", "linear", "sqrt"),
    [
        (256, 0.3, 1.2),
        (512, 0.6, 1.697),
        (1024, 1.2, 2.4),
        (2048, 2.4, 3.394),
        (4096, 4.8, 4.8),
        (8192, 9.6, 6.788),
    ],
)
def test_learning_rates_are_those_of_the_paper(batch: int, linear: float, sqrt: float) -> None:
    """Appendix B.1: 0.3 B / 256, or 0.075 sqrt(B)."""
    spec = RunSpec().with_values({"schedule.batch_size": batch})
    assert spec.learning_rate == pytest.approx(linear)
    assert spec.with_values({"optim.scaling": "sqrt"}).learning_rate == pytest.approx(
        sqrt, abs=5e-4
    )
    assert spec.with_values({"optim.scaling": "sqrt"}).learning_rate == pytest.approx(
        0.075 * batch**0.5
    )
    assert spec.with_values({"optim.scaling": "none"}).learning_rate == 0.3


def test_the_anchor_is_where_the_two_rules_meet() -> None:
    spec = RunSpec().with_values({"optim.anchor_batch_size": 512, "schedule.batch_size": 512})
    assert spec.with_values({"optim.scaling": "sqrt"}).learning_rate == spec.learning_rate == 0.6
