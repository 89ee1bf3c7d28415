"""Seconds: questions as plain trees, read and written, and everything wrong with them at once."""

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from search_spaces import ABLATIONS, UNTRAINED
from search_spaces.claims import beats
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.trees.question import QuestionError, ablation_of, base_of, tree_of
from workloads.catalog import workload_named

TREE: dict[str, Any] = {
    "name": "sharpness",
    "question": "Which temperature is best?",
    "axes": {"loss.temperature": [0.1, 0.5]},
}


def problems(**changed: Any) -> list[tuple[tuple[str | int, ...], str]]:
    tree = {key: value for key, value in {**TREE, **changed}.items() if value is not ...}
    with pytest.raises(QuestionError) as refused:
        ablation_of(tree)
    return refused.value.problems


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_built_in_question_is_read_as_it_was_written(name: str) -> None:
    tree = json.loads(json.dumps(tree_of(ABLATIONS[name])))
    read = ablation_of(tree)
    assert read == ABLATIONS[name]
    assert tree_of(read) == tree


def test_a_scale_without_axes_is_named() -> None:
    ((keys, told),) = problems(axes=..., scales={"small": {"axes": TREE["axes"]}})
    assert (keys, told.partition(",")[0]) == (("scales",), "has no paper")


def test_values_of_labels_without_a_field_are_told_what_is_missing() -> None:
    choices = {"few": ["crop"], "more": ["crop", "color"]}
    ((keys, told),) = problems(axes={"augment.operations": {"values": choices}})
    assert keys == ("axes", "augment.operations", "values")
    assert told.endswith("write `field: augment.operations` beside it")
    own = {"field": "augment.operations", "values": choices}
    assert ablation_of(TREE | {"axes": {"operations": own}}).paper.axes[0].labels == ("few", "more")


def test_cells_are_compared_by_the_first_result_of_the_workload() -> None:
    for name in ("simclr", "two-layer-cnn"):
        own = ablation_of(TREE | {"workload": name})
        assert own.metric == workload_named(name).headline[0]
        assert ablation_of(tree_of(own)) == own


def test_axes_with_values_make_the_grid_of_both_scales() -> None:
    axes = {
        "loss.temperature": [0.1, 0.5],
        "head": {
            "values": {
                "none": {"head.num_linear_layers": 0},
                "deep": {"head.num_linear_layers": 3, "head.width": {"times": 2}},
            }
        },
    }
    found = ablation_of(TREE | {"axes": axes})
    assert found.paper == found.small
    assert [cell.at for cell in found.paper.cells] == [
        ("0.1", "none"),
        ("0.1", "deep"),
        ("0.5", "none"),
        ("0.5", "deep"),
    ]
    assert found.paper.axes[1] == Axis(name="head", labels=("none", "deep"))
    assert found.paper.cells[0].values == {"loss.temperature": 0.1, "head.num_linear_layers": 0}
    assert (found.figure, found.source, found.extension) == ("heatmap", "own question", True)


def test_axes_may_be_listed_with_field_labels_and_log() -> None:
    axes = [
        {
            "name": "size of a batch",
            "field": "optim.batch_size",
            "values": [64, 128],
            "labels": ["64", "128 images"],
        },
        {"field": "loss.temperature", "values": [0.1, 1], "log": True},
    ]
    assert ablation_of(TREE | {"axes": axes}).paper.axes == (
        Axis(name="size of a batch", labels=("64", "128 images")),
        Axis(name="loss.temperature", labels=("0.1", "1"), log=True),
    )


def test_cells_say_what_they_set_where_axes_have_labels_only() -> None:
    axes = {"rate": {"labels": ["slow", "fast"]}}
    cells = [
        {"at": "slow", "values": {"optim.learning_rate": 0.1}},
        {"at": ["fast"], "values": {"optim.learning_rate": 1.0}, "metric": "knn_top1"},
    ]
    assert ablation_of(TREE | {"axes": axes, "cells": cells}).small == Layout(
        axes=(Axis(name="rate", labels=("slow", "fast")),),
        cells=(
            Cell(at=("slow",), values={"optim.learning_rate": 0.1}),
            Cell(at=("fast",), values={"optim.learning_rate": 1.0}, metric="knn_top1"),
        ),
    )


def test_candidates_of_a_grid_are_those_of_every_cell() -> None:
    candidates = {"optim.learning_rate": [0.1, 1.0], "optim.weight_decay": [0, 1e-4]}
    found = ablation_of(TREE | {"candidates": candidates})
    for cell in found.paper.cells:
        assert [dict(one) for one in cell.candidates] == [
            {"optim.learning_rate": 0.1, "optim.weight_decay": 0},
            {"optim.learning_rate": 0.1, "optim.weight_decay": 1e-4},
            {"optim.learning_rate": 1.0, "optim.weight_decay": 0},
            {"optim.learning_rate": 1.0, "optim.weight_decay": 1e-4},
        ]


def test_each_scale_may_have_what_the_other_has_not() -> None:
    scales = {"small": {"note": "as small as it is"}, "paper": {"axes": {"seed": [1, 2]}}}
    found = ablation_of(TREE | {"scales": scales})
    assert found.small.note == "as small as it is"
    assert found.small.axes[0].labels == ("0.1", "0.5")
    assert found.paper.axes[0].name == "seed"


def test_a_claim_is_a_text_and_may_say_more() -> None:
    claims = [
        "0.1 > 0.5",
        {"holds": "0.1 > untrained", "source": "a hunch"},
        {"statement": "Hot is bad.", "holds": ["0.1 > 0.5 + 1", "falls with loss.temperature"]},
        {"statement": "Small only.", "small": "0.1 > 0.5", "silent": "it costs too much"},
    ]
    found = ablation_of(TREE | {"claims": claims}).claims
    assert [claim.statement for claim in found] == [
        "0.1 > 0.5",
        "0.1 > untrained",
        "Hot is bad.",
        "Small only.",
    ]
    assert [claim.source for claim in found] == ["own question", "a hunch", *["own question"] * 2]
    cold, hot = ("0.1",), ("0.5",)
    assert found[0].paper == found[0].small == (beats(cold, hot),)
    assert found[1].paper == (beats(cold, UNTRAINED),)
    assert found[2].small == (beats(cold, hot, by=1), beats(cold, hot))
    assert (found[3].paper, found[3].small) == ((), (beats(cold, hot),))


def test_a_wrong_claim_is_told_with_its_text_and_column() -> None:
    claims = ["0.1 > 0.6", {"holds": ["0.1 > 0.5", "0.1 > untrained"]}, {"holds": [3]}, "0.1 >"]
    found = problems(claims=claims, untrained=False)
    assert [keys for keys, _ in found] == [
        ("claims", 0),
        ("claims", 1, "holds", 1),
        ("claims", 2, "holds", 0),
        ("claims", 3),
    ]
    told = [text for _, text in found]
    assert told[0].startswith("'0.1 > 0.6', column 7: '0.6' is no label of axis 'loss.temperature'")
    assert told[1] == "'untrained': no such cell; there are 0.1, 0.5"
    assert "is to be a text such as" in told[2]
    assert "the text ends after '0.1 >'" in told[3]


def test_the_recipes_of_a_question_are_no_part_of_it() -> None:
    tree = TREE | {"presets": ["shapes", "digits"], "set": {"schedule.epochs": 2}}
    assert ablation_of(tree) == ablation_of(TREE)
    assert base_of(tree).presets == ("shapes", "digits")
    assert base_of(tree).values == {"schedule.epochs": 2}
    assert base_of(TREE).presets == ()


def test_all_that_is_wrong_is_said_at_once_and_where() -> None:
    found = problems(
        question=...,
        figur="table",
        metric=[],
        axes=[{"name": "t", "field": "loss.temperature", "values": [0.1, 0.1]}],
        vary=["seeds"],
    )
    assert [(keys, text.split(";")[0]) for keys, text in found] == [
        (("figur",), "'figur': no such key"),
        ((), "needs a question, such as `question: Which temperature is best?`"),
        (("axes", 0, "values"), "0.1: is there twice"),
        (("metric",), "is to be a text, not []"),
        (("vary", 0), "'seeds': no such choice"),
    ]
    assert "did you mean figure?" in found[0][1]


@pytest.mark.parametrize(
    ("changed", "keys", "text"),
    [
        ({"axes": []}, ("axes",), "is empty"),
        ({"axes": {"l2 norm": [1, 2]}}, ("axes", "l2 norm"), "'l2 norm' is not a dotted field"),
        ({"axes": {"x": {"labels": ["a"]}}}, ("axes",), "x: needs values, or the question needs"),
        ({"axes": {"x": {"values": {"a": {}}}}}, ("axes", "x", "values", "a"), "sets no field"),
        (
            {"cells": [{"at": "0.1", "values": {"seed": 1}}]},
            ("axes",),
            "loss.temperature: has values, and there are cells, too",
        ),
        (
            {"axes": {"x": {"labels": ["a"]}}, "cells": [{"at": "b", "values": {"seed": 1}}]},
            ("cells",),
            "'b' is not on axis 'x'",
        ),
        ({"axes": [{"field": "seed", "values": [1, 2]}] * 2}, ("axes",), "seed: is set by two"),
        ({"fixed": {"Loss": 1}}, ("fixed", "Loss"), "'Loss' is not a dotted field"),
        ({"fixed": {"loss.temperature": 1}}, ("fixed", "loss.temperature"), "is set by cells, too"),
        ({"name": "My question"}, ("name",), "is to be lower-case words"),
        ({"figure": "maps"}, ("figure",), "a maps cannot have 1 axes"),
        ({"preset": "a", "presets": ["b"]}, ("presets",), "give one of both"),
        ({"axes": {"seed": list(range(9999))}}, ("axes",), "make 9999 cells"),
        ({"overlays": [{"label": "x", "points": [[1]]}]}, ("overlays", 0, "points", 0), "[x, y]"),
    ],
)
def test_a_mistake_is_told_where_it_is(
    changed: dict[str, Any], keys: tuple[str | int, ...], text: str
) -> None:
    ((found, told),) = problems(**changed)
    assert found == keys
    assert text in told


WRONG = (None, True, -1, 1e400, "", "x", "a > b", [], ["x"], [[]], {}, {"x": 1}, {"times": 0})
KEYS = ("at", "values", "labels", "field", "holds", "terms", "times", "step", "lists", "x")


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


def damaged(tree: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """A copy with a value replaced, taken away, moved or renamed."""
    tree = copy.deepcopy(tree)
    for _ in range(draw.randint(1, 3)):
        owner, key = draw.choice(list(places(tree)))
        match draw.randrange(4):
            case 0:
                owner[key] = draw.choice(WRONG)
            case 1:
                del owner[key]
            case 2:
                other, place = draw.choice(list(places(tree)))
                owner[key] = copy.deepcopy(other[place])
            case _ if isinstance(owner, dict):
                owner[draw.choice(KEYS)] = owner.pop(key)
        if not tree:
            break
    return tree


def refusal(tree: dict[str, Any]) -> QuestionError | None:
    try:
        tree_of(ablation_of(tree))
    except QuestionError as error:
        return error
    return None


@pytest.mark.parametrize("name", ["temperature", "head", "losses", "fresh-views", "few-labels"])
def test_no_damage_to_a_tree_ends_in_anything_but_a_question_or_its_error(name: str) -> None:
    draw, whole = random.Random(16), tree_of(ABLATIONS[name])
    whole["claims"] = whole["claims"][:2]
    ends = [refusal(damaged(whole, draw)) for _ in range(150)]
    refused = [error for error in ends if error is not None]
    assert len(refused) > 50
    assert all(error.problems and str(error) for error in refused)


@pytest.mark.parametrize("tree", WRONG)
def test_what_is_no_mapping_is_no_question(tree: Any) -> None:
    with pytest.raises(QuestionError):
        ablation_of(tree)
