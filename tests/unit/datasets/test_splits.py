import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spx.datasets import load_dataset
from spx.datasets.splits import SplitRule, balanced_split, random_split, stratified_split
from spx.datasets.types import GraphTensors, Split
from spx.errors import DatasetError

SHARES = (0.5, 0.25, 0.25)


def assert_partition(split: Split, nodes: Tensor) -> None:
    assert torch.equal(torch.cat(split).sort().values, nodes), "each node once, and no other"
    for part in split:
        assert part.dtype == torch.int64
        assert torch.equal(part, part.sort().values)


def sizes(split: Split) -> list[int]:
    return [len(part) for part in split]


def test_random_split_cuts_by_shares() -> None:
    labelled = torch.arange(0, 200, 2)
    split = random_split(labelled, (0.6, 0.2, 0.2), seed=3)
    assert sizes(split) == [60, 20, 20]
    assert_partition(split, labelled)


def test_random_split_gives_the_remainder_to_test() -> None:
    assert sizes(random_split(torch.arange(11), SHARES, 0)) == [5, 2, 4]


def test_random_split_does_not_lose_a_node_to_rounding() -> None:
    assert int(0.29 * 100) == 28, "the trap"
    assert sizes(random_split(torch.arange(100), (0.29, 0.29, 0.42), 0)) == [29, 29, 42]


def test_random_split_is_a_function_of_the_seed() -> None:
    nodes = torch.arange(100)
    torch.manual_seed(0)
    first = random_split(nodes, SHARES, 5)
    torch.manual_seed(1)
    assert all(map(torch.equal, first, random_split(nodes, SHARES, 5)))
    assert not torch.equal(first.train, random_split(nodes, SHARES, 6).train)


def test_random_split_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    random_split(torch.arange(9), SHARES, 0)
    balanced_split(torch.arange(9) % 3, 0.5, 0.25, 0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.5, 0.75, -0.25)])
def test_random_split_refuses_wrong_shares(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        random_split(torch.arange(9), shares, 0)


@given(num=st.integers(0, 60), train=st.integers(0, 10), val=st.integers(0, 10), seed=st.integers(0, 99))
def test_random_split_is_a_partition(num: int, train: int, val: int, seed: int) -> None:
    total = train + val + 5
    nodes = torch.arange(num) * 3
    assert_partition(random_split(nodes, (train / total, val / total, 5 / total), seed), nodes)


def test_balanced_split_counts_per_class() -> None:
    y = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    split = balanced_split(y, 0.5, 0.25, seed=0)
    assert torch.bincount(y[split.train]).tolist() == [17, 17, 17]  # round(100 * 0.5 / 3)
    assert len(split.val) == 25
    assert_partition(split, torch.arange(100))


def test_what_a_balanced_split_leaves_of_a_small_class_is_spread_over_validation_and_test() -> None:
    y = torch.cat([torch.zeros(400, dtype=torch.int64), torch.ones(1600, dtype=torch.int64)])
    split = balanced_split(y, 0.35, 0.325, seed=0)
    assert int((y[split.train] == 0).sum()) == 350
    left = [int((y[part] == 0).sum()) for part in (split.val, split.test)]
    assert sum(left) == 50
    assert min(left) >= 12  # 25 +- 3.4 are expected


def test_the_generated_minefield_is_independent_of_its_splits() -> None:
    for index in range(10):
        dataset = load_dataset("minesweeper-sim", split=index)
        for part in dataset.split:
            assert 0.16 < dataset.y[part].double().mean() < 0.24


def test_balanced_split_takes_all_of_a_small_class() -> None:
    y = torch.tensor([0] * 88 + [1] * 7 + [2] * 5)
    split = balanced_split(y, 0.6, 0.2, seed=0)
    assert torch.bincount(y[split.train]).tolist() == [20, 7, 5]


def test_balanced_split_skips_unlabelled_nodes() -> None:
    y = torch.tensor([-1, 0, 1] * 20)
    split = balanced_split(y, 0.5, 0.25, seed=0)
    assert torch.bincount(y[split.train]).tolist() == [10, 10]
    assert_partition(split, (y >= 0).nonzero().flatten())


def test_balanced_split_draws_within_a_class() -> None:
    y = torch.zeros(1000, dtype=torch.int64)
    first, second = (balanced_split(y, 0.5, 0.25, seed) for seed in (0, 1))
    assert not torch.equal(first.train, second.train)
    assert abs(float(first.train.double().mean()) - 500) < 50, "from the whole range"
    assert abs(float(first.val.double().mean()) - 500) < 80


@given(labels=st.lists(st.integers(-1, 4), min_size=1, max_size=60), seed=st.integers(0, 99))
def test_balanced_split_is_a_partition_with_a_cap(labels: list[int], seed: int) -> None:
    y = torch.tensor(labels)
    split = balanced_split(y, 0.5, 0.25, seed)
    labelled = (y >= 0).nonzero().flatten()
    assert_partition(split, labelled)
    num_classes = max(int(y.max()) + 1, 1)
    per_class = round(len(labelled) * 0.5 / num_classes)
    counts = torch.bincount(y[labelled], minlength=num_classes).clamp(max=per_class)
    assert torch.equal(torch.bincount(y[split.train], minlength=num_classes), counts)


def counts(y: Tensor, split: Split) -> list[list[int]]:
    return [torch.bincount(y[part], minlength=int(y.max()) + 1).tolist() for part in split]


def test_stratified_split_cuts_each_class_by_the_shares() -> None:
    y = torch.tensor([0] * 50 + [1] * 30 + [-1] * 7 + [2] * 20)
    split = stratified_split(y, (0.6, 0.2, 0.2), seed=0)
    assert counts(y, split) == [[30, 18, 12], [10, 6, 4], [10, 6, 4]]
    assert_partition(split, (y >= 0).nonzero().flatten())


def test_stratified_split_gives_a_small_class_to_train_first_and_the_rest_to_who_lacks_most() -> None:
    y = torch.arange(10).repeat_interleave(2)
    train, val, test = counts(y, stratified_split(y, (0.6, 0.2, 0.2), seed=0))
    assert min(train) == 1
    assert [sum(part) for part in (train, val, test)] == [12, 4, 4]
    single = torch.arange(5)
    assert sizes(stratified_split(single, (0.2, 0.4, 0.4), 0)) == [5, 0, 0]


def test_stratified_split_gives_nothing_to_a_share_of_0() -> None:
    y = torch.arange(9) % 3
    assert sizes(stratified_split(y, (0.0, 0.5, 0.5), 0))[0] == 0
    assert sizes(stratified_split(y, (0.5, 0.5, 0.0), 0))[2] == 0


def test_stratified_split_is_a_function_of_the_seed() -> None:
    y = torch.arange(99) % 3
    torch.manual_seed(0)
    first = stratified_split(y, SHARES, 5)
    state = torch.get_rng_state()
    assert all(map(torch.equal, first, stratified_split(y, SHARES, 5)))
    assert torch.equal(state, torch.get_rng_state())
    other = stratified_split(y, SHARES, 6)
    assert not torch.equal(first.train, other.train)
    assert counts(y, first) == counts(y, other), "only who is where is drawn"


def test_stratified_split_draws_from_the_whole_class() -> None:
    means = [stratified_split(torch.zeros(1000).long(), SHARES, seed).val.double().mean() for seed in range(3)]
    assert all(abs(float(mean) - 500) < 80 for mean in means)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (0.5, 0.75, -0.25)])
def test_stratified_split_refuses_wrong_shares(shares: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        stratified_split(torch.arange(9), shares, 0)


@given(
    labels=st.lists(st.integers(-1, 6), max_size=80),
    weights=st.tuples(*[st.integers(0, 10)] * 2, st.integers(1, 10)),
    seed=st.integers(0, 99),
)
def test_stratified_split_is_within_a_node_of_the_shares(
    labels: list[int], weights: tuple[int, int, int], seed: int
) -> None:
    y = torch.tensor(labels, dtype=torch.int64)
    shares = tuple(weight / sum(weights) for weight in weights)
    split = stratified_split(y, shares, seed)
    assert_partition(split, (y >= 0).nonzero().flatten())
    total_C = torch.bincount(y[y >= 0], minlength=7)
    for share, part in zip(shares, split, strict=True):
        assert ((torch.bincount(y[part], minlength=7) - share * total_C).abs() < 1).all()
        assert abs(len(part) - share * int(total_C.sum())) <= 7
    if shares[0] > 0:
        assert (torch.bincount(y[split.train], minlength=7)[total_C > 0] > 0).all()


def masked_graph(num_splits: int = 2) -> GraphTensors:
    ranks = torch.from_numpy(np.random.default_rng(0).random((num_splits, 12)).argsort(1))
    masks = (ranks < 6, (ranks >= 6) & (ranks < 9), ranks >= 9)
    return GraphTensors(torch.zeros(12, 1), torch.zeros(2, 0, dtype=torch.int64), torch.arange(12) % 2, *masks)


def test_fixed_rule_reads_the_mask_of_its_index() -> None:
    graph = masked_graph()
    for index in (0, 1):
        split = SplitRule("fixed", 2).split(graph, index)
        assert torch.equal(split.val, graph.val_mask[index].nonzero().flatten())
        assert_partition(split, torch.arange(12))


def test_fixed_rule_names_what_the_files_hold() -> None:
    with pytest.raises(DatasetError, match="split 2 is not in the raw files, which hold 2"):
        SplitRule("fixed", 10).split(masked_graph(), 2)


def test_drawn_rules_add_the_index_to_their_seed() -> None:
    graph = masked_graph()
    drawn = SplitRule("random", None, SHARES, seed=123).split(graph, 2)
    assert all(map(torch.equal, drawn, random_split(torch.arange(12), SHARES, 125)))
    drawn = SplitRule("balanced", None, SHARES).split(graph, 2)
    assert all(map(torch.equal, drawn, balanced_split(graph.y, 0.5, 0.25, 2)))


def test_random_rule_splits_all_nodes_of_a_multilabel_task() -> None:
    graph = masked_graph()._replace(y=torch.zeros(12, 4))
    assert_partition(SplitRule("random", None, SHARES).split(graph, 0), torch.arange(12))
