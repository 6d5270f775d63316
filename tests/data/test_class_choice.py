"""Classes that are chosen by their name, by an ancestor or by a file."""

import json

import pytest

from wsedtk.core.errors import InputError
from wsedtk.data import class_lists, ontologies

LABELS = ["Dog", "Bark", "Cat", "Animal", "Car"]
ONTOLOGY = {
    "a": ("Animal", ["p"]),
    "p": ("Domestic animals, pets", ["d", "c"]),
    "d": ("Dog", ["b"]),
    "b": ("Bark", []),
    "c": ("Cat", ["a"]),  # a circle
    "v": ("Car", ["missing"]),
}
BELOW = {
    "Animal": {"Domestic animals, pets", "Dog", "Bark", "Cat", "Animal"},
    "Domestic animals, pets": {"Domestic animals, pets", "Dog", "Bark", "Cat", "Animal"},
    "Dog": {"Bark"},
    "Cat": {"Domestic animals, pets", "Dog", "Bark", "Cat", "Animal"},
    "Car": set(),
}


@pytest.fixture
def folder(tmp_path):
    entries = [
        {"id": one, "name": name, "child_ids": children}
        for one, (name, children) in ONTOLOGY.items()
    ]
    (tmp_path / "ontology.json").write_text(json.dumps(entries))
    return tmp_path


def test_the_classes_below_each_class(folder, tmp_path):
    assert ontologies.descendants_in(folder) == BELOW
    assert ontologies.descendants_in(tmp_path / "other") == {}
    (folder / "ontology.json").write_text("[1]")
    with pytest.raises(InputError, match="ontology.json: expected AudioSet's ontology"):
        ontologies.descendants_in(folder)


@pytest.mark.parametrize(
    "values, expected",
    [
        ([], LABELS),
        (["Dog"], ["Dog", "Bark"]),
        (["Domestic animals, pets"], ["Dog", "Bark", "Cat", "Animal"]),
        (["Bark", "Dog"], ["Bark", "Dog"]),
        (["Dog", "Bark"], ["Bark", "Dog"]),
        (["Car", "Dog"], ["Dog", "Bark", "Car"]),
    ],
)
def test_an_ancestor_chooses_the_classes_below(values, expected):
    chosen = class_lists.choose(values, LABELS, "model", BELOW)
    assert set(chosen) == set(expected) and all(name == label for label, name in chosen.items())


def test_without_an_ontology_only_names_are_chosen():
    assert class_lists.choose(["Dog"], LABELS, "model") == {"Dog": "Dog"}
    with pytest.raises(InputError, match="'Domestic animals, pets': is neither a class of model"):
        class_lists.choose(["Domestic animals, pets"], LABELS, "model")


def test_an_ancestor_of_no_class_is_not_suggested():
    with pytest.raises(InputError, match="'Dog': is neither a class .* nor a file; known: Hoot$"):
        class_lists.choose(["Dog"], ["Hoot"], "model", BELOW)


@pytest.mark.parametrize(
    "values, message",
    [
        (["Bark", "Bark"], "the class 'Bark' or the name 'Bark' is chosen twice"),
        (["Domestic animal, pets"], "did you mean 'Domestic animals, pets'"),
        (["LIST", "Dog"], "a file renames another class to 'Bark', but the class 'Bark' is also"),
    ],
)
def test_wrong_choices(tmp_path, values, message):
    (tmp_path / "list.txt").write_text("Cat\tBark\n")
    values = [str(tmp_path / "list.txt") if value == "LIST" else value for value in values]
    with pytest.raises(InputError, match=message):
        class_lists.choose(values, LABELS, "model", BELOW)
