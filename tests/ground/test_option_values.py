"""Options of parts, as fields of a specification."""

import pytest

from workloads.option_values import Options, OptionsField
from workloads.spec import Part, SpecError


class Net(Part):
    name: str = "plain"
    options: OptionsField = Options()


class Whole(Part):
    net: Net = Net()


def test_options_are_plain_hashable_and_read_again() -> None:
    whole = Whole.read({"net": {"options": {"depth": 3, "sides": [1, 2], "deeper": {"a": None}}}})
    tree = whole.tree()
    assert tree["net"]["options"] == {"depth": 3, "sides": [1, 2], "deeper": {"a": None}}
    assert Whole.read(tree) == whole
    assert hash(Whole.read(tree)) == hash(whole)
    assert whole != Whole()
    assert Whole().flat() == {"net.name": "plain"}


def test_an_option_is_set_by_its_dotted_name() -> None:
    whole = Whole().with_values({"net.options.depth": 3, "net.options.name": "x"})
    assert dict(whole.net.options) == {"depth": 3, "name": "x"}
    assert whole.with_values({"net.options.depth": 4}).net.options["depth"] == 4
    assert whole.with_values({"net.options": {}}) == Whole()
    with pytest.raises(SpecError, match=r"net\.name is a value and has no field"):
        Whole().with_values({"net.name.depth": 3})


def test_options_of_options_are_set_by_their_dotted_names() -> None:
    whole = Whole().with_values({"net.options.fog.density": 1, "net.options.fog.share": 2})
    assert dict(whole.net.options) == {"fog": {"density": 1, "share": 2}}
    changed = whole.with_values({"net.options.fog.density": 3})
    assert dict(changed.net.options) == {"fog": {"density": 3, "share": 2}}
    assert Whole().with_values(whole.flat()) == whole
    with pytest.raises(SpecError) as caught:
        whole.with_values({"net.options.fog.share.x": 1, "net.nam.x": 1})
    assert caught.value.problems == [
        "net.options.fog.share.x: net.options.fog.share is 2, which has no options",
        "net.nam.x: no such field; did you mean net.name? (fields of net: name, options)",
    ]


@pytest.mark.parametrize("options", [3, [1], {"a": float("nan")}, {"a b": 1}, {"a": object()}])
def test_what_is_no_plain_value_is_refused_by_the_fields_name(options: object) -> None:
    with pytest.raises(SpecError) as caught:
        Whole().with_values({"net.options": options})
    (problem,) = caught.value.problems
    assert problem.startswith("net.options")
