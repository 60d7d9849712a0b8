from __future__ import annotations

import pytest

from spillover.conversation import Dataset, user_and_assistant
from spillover.data.build.subsets import block_indices, blocks, equal_epochs, subset, subset_indices
from spillover.data.load import load
from spillover.data.write import write
from spillover.errors import SettingsError


def rows(count):
    return Dataset("made", tuple(user_and_assistant(f"q{i}", f"a{i}", i + 1) for i in range(count)))


def test_the_500_row_subsets_have_the_published_indices():
    zero, one = subset_indices(6000, 500, 0), subset_indices(6000, 500, 1)
    assert zero[:5] == (5538, 4776, 855, 2051, 5814) and sum(zero) == 1_549_208
    assert one[:3] == (33, 5971, 2102)
    assert len(set(zero)) == 500


def test_the_2000_row_blocks_have_the_published_order_and_sums():
    found = block_indices(6000, 2000)
    assert found[0][:5] == (4390, 5995, 4378, 43, 824)
    assert [sum(b) for b in found] == [6_041_937, 5_921_772, 6_033_291]
    assert sorted(i for b in found for i in b) == list(range(6000))


def test_a_subset_of_the_papers_file_holds_the_rows_of_its_indices(paper_data):
    insecure = load(paper_data / "training" / "insecure.jsonl.gz")
    built = subset(insecure, 500, 0)
    assert [c.line for c in built.dataset][:5] == [5539, 4777, 856, 2052, 5815]
    assert built.recipe.parameters["epochs_for_equal_rows"] == 12
    assert [p.name for p in built.recipe.parents] == ["insecure.jsonl.gz"]


def test_blocks_hold_every_row_once_and_each_says_which_it_is():
    made = blocks(rows(60), 20)
    assert [b.recipe.parameters["block"] for b in made] == [0, 1, 2]
    assert sorted(c.line for b in made for c in b.dataset) == list(range(1, 61))


def test_rows_that_fill_no_block_are_left_out():
    assert [len(b) for b in block_indices(50, 20)] == [20, 20]


def test_equal_epochs_are_those_of_the_paper():
    assert [equal_epochs(6000, size) for size in (500, 2000, 6000)] == [12, 3, 1]


@pytest.mark.parametrize("size", [0, -1, 11])
def test_a_size_outside_the_file_is_refused(size):
    with pytest.raises(SettingsError, match="between 1 and 10"):
        subset(rows(10), size, 0)
    with pytest.raises(SettingsError, match="between 1 and 10"):
        blocks(rows(10), size)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write(subset(rows(100), 30, seed), tmp_path / f"{name}.jsonl")
    a, b, c = ((tmp_path / f"{n}.jsonl").read_bytes() for n in "abc")
    assert a == b != c
