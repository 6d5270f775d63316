"""Batches with a fixed number of clips of each part, and the values of the option `add`."""

from pathlib import Path

import numpy as np
import pytest
from test_dataset import MIXED, make_set

from wsedtk.core.errors import InputError
from wsedtk.stages.options.added_sets import AddedSet, as_added_sets, parse
from wsedtk.training.sampler import BALANCERS, Part, PartSampler, Sampler


@pytest.mark.parametrize("balancer", BALANCERS)
def test_each_part_is_sampled_as_a_set_of_its_own(balancer):
    dataset = make_set(MIXED * 3)
    in_first = np.arange(len(dataset)) % 3 > 0
    parts = [Part(in_first, 5), Part(~in_first, 2)]
    sampler = PartSampler(dataset, parts, 7, balancer)
    alone = Sampler(dataset.select(in_first), 5, 7, balancer)
    batches = np.array([sampler.batch(step) for step in range(30)])
    assert batches.shape == (30, 7)
    for step, batch in enumerate(batches):
        assert in_first[batch].tolist() == [True] * 5 + [False] * 2
        np.testing.assert_array_equal(np.flatnonzero(in_first)[alone.batch(step)], batch[:5])
    again = PartSampler(dataset, parts, 7, balancer)  # a resumed run
    np.testing.assert_array_equal(again.batch(29), batches[29])
    # The second part is balanced, too, and has other random numbers than the first part.
    second = Sampler(dataset.select(~in_first), 2, 7, balancer)
    same = [np.flatnonzero(~in_first)[second.batch(step)] for step in range(30)]
    assert not np.array_equal(batches[:, 5:], same)
    if balancer == "classes":
        queues = dataset.select(~in_first).clips_of_classes()
        position = np.cumsum(~in_first) - 1
        drawn = position[batches[:, 5:]].ravel()
        least = 60 // sum(len(queue) > 0 for queue in queues)
        assert all(np.isin(drawn, queue).sum() >= least for queue in queues if len(queue))


@pytest.mark.parametrize(
    "text, folder, share",
    [
        ("data/new", "data/new", None),
        ("data/new=0.25", "data/new", 0.25),
        ("data/new=.5", "data/new", 0.5),
        ("data/new=1e-1", "data/new", 0.1),
        ("run=3/new", "run=3/new", None),
        ("run=3/new=0.5", "run=3/new", 0.5),
        ("a=b", "a=b", None),
        ("a=b=0.5", "a=b", 0.5),
        ("a=0.3=0.5", "a=0.3", 0.5),
        ("a=3/", "a=3", None),
        ("a=", "a=", None),
        ("=0.5", "=0.5", None),
        ("0.5", "0.5", None),
    ],
)
def test_a_set_and_its_share(text, folder, share):
    found = parse(text)
    assert (found, Path(found)) == ((Path(folder), share), Path(folder))
    assert share is None or parse(str(found)) == found


@pytest.mark.parametrize(
    "text, found",
    [
        ("a=0", "0;"),
        ("a=1", "1;"),
        ("a=-0.1", "-0.1;"),
        ("a=nan", "nan;"),
        ("a=30", "30;.*did you mean 0.3?"),
        ("a=30%", "30%;.*did you mean 0.3?"),
    ],
)
def test_a_wrong_share(text, found):
    with pytest.raises(InputError, match=rf"add \(--add\): the share of a is {found}"):
        parse(text)
    with pytest.raises(InputError, match=f"; if {text!r} is the folder, write {text}/"):
        parse(text)


def test_sets_of_python():
    found = as_added_sets(["a", Path("b"), ("c=0.5", 0.5), AddedSet(Path("d"), 0.25), ("e", None)])
    shares = [None, None, 0.5, 0.25, None]
    assert found == list(zip(map(Path, ["a", "b", "c=0.5", "d", "e"]), shares))
    with pytest.raises(InputError, match="sum of the shares is 1; expected less than 1"):
        as_added_sets([(str(number), 0.1) for number in range(10)])
    with pytest.raises(InputError, match="the share of a is 50; .*did you mean 0.5"):
        as_added_sets([("a", 50)])
    for wrong in (("a", 0.3), [("a",)], [("a", "0.3")], [(0.3, "a")], [None]):
        with pytest.raises(InputError, match="expected a path, or a pair"):
            as_added_sets(wrong)
