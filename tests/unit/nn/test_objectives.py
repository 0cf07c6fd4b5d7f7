import math

import numpy as np
import pytest
import scipy.stats
import torch
from daily import every_day
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torchmetrics.classification import BinaryAUROC, MultilabelAUROC

from spx.nn.objectives import (
    TaskName,
    average_draws,
    balanced_weights,
    class_probabilities,
    log_probabilities,
    node_loss,
    positive_scores,
    prior_offset,
)


def logits(*shape: int, scale: float = 3.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def labels(*shape: int) -> Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(9)) < 0.4).double()


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_multiclass_loss_is_cross_entropy(scale: float) -> None:
    z, y = logits(12, 5, scale=scale).requires_grad_(), torch.arange(12) % 5
    loss, expected = node_loss(log_probabilities(z, "multiclass"), y, "multiclass"), cross_entropy(z, y)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, z)[0] for value in (loss, expected)))


@pytest.mark.parametrize("scale", [1.0, 50.0, 2000.0])
def test_multilabel_loss_is_binary_cross_entropy(scale: float) -> None:
    z, y = logits(12, 7, scale=scale).requires_grad_(), labels(12, 7)
    loss = node_loss(log_probabilities(z, "multilabel"), y, "multilabel")
    expected = binary_cross_entropy_with_logits(z, y)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value, z)[0] for value in (loss, expected)))


@pytest.mark.parametrize(("task", "shape"), [("multiclass", (12, 5)), ("multilabel", (12, 2, 5))])
def test_probabilities_sum_to_one(task: TaskName, shape: tuple[int, ...]) -> None:
    logp = log_probabilities(logits(12, 5), task)
    assert logp.shape == shape
    total = logp.exp().sum(-1 if task == "multiclass" else -2)
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_averaging_draws_is_the_log_of_the_mean_probability(task: TaskName) -> None:
    draws = log_probabilities(logits(3, 12, 5), task)
    assert draws.shape[0] == 3
    average = average_draws(draws)
    torch.testing.assert_close(average, draws.exp().mean(0).log())
    total = average.exp().sum(-1 if task == "multiclass" else -2)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_one_draw_is_its_own_average() -> None:
    draws = log_probabilities(logits(1, 12, 5), "multiclass")
    torch.testing.assert_close(average_draws(draws), draws[0])


def test_averaging_survives_probabilities_too_small_for_floats() -> None:
    draws = torch.tensor([[-2000.0], [-2001.0]], dtype=torch.float64)
    assert float(average_draws(draws)) == pytest.approx(-2000 + math.log((1 + math.exp(-1)) / 2))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_probability_leaves_zero_to_one(task: TaskName, dtype: torch.dtype) -> None:
    """However many draws are averaged, and however sure they are."""
    for number in range(1, 65):
        for scale in (1.0, 30.0, 1e4):
            draws = log_probabilities((logits(50, 2, scale=scale) + logits(number, 50, 2)).to(dtype), task)
            average = average_draws(draws)
            assert average.max() <= 0
            for values in (class_probabilities(average, task), positive_scores(average, task)):
                assert 0 <= values.min() <= values.max() <= 1
            assert class_probabilities(draws, task).max() <= 1
    above = torch.full((2, 2), torch.finfo(dtype).eps, dtype=dtype)
    assert class_probabilities(above, "multiclass").tolist() == [[1, 1], [1, 1]], "a last digit above"
    assert average_draws(torch.tensor([[math.nan]])).isnan().all(), "what is no number stays none"


def exact_roc_auc(scores: Tensor, yes: Tensor) -> float:
    """Chance that a positive is ranked before a negative; equal scores count half."""
    ranks, number = torch.from_numpy(scipy.stats.rankdata(scores.numpy())), int(yes.sum())
    return float(ranks[yes].sum() - number * (number + 1) / 2) / (number * (len(yes) - number))


def confident(number: int, columns: int) -> tuple[Tensor, Tensor]:
    """Log-odds [R, B, C] of R draws, float32, most of whose probabilities round to 0 or 1, and the labels [B, C]."""
    stream = torch.Generator().manual_seed(number)
    yes = torch.rand(800, columns, generator=stream) < 0.3
    means = 4 * torch.randn(yes.shape, generator=stream) + 6 * yes + 8
    return means + 3 * torch.randn(number, *yes.shape, generator=stream), yes


@every_day("number", range(1, 65), 16)
def test_roc_auc_of_averaged_draws_is_exact(number: int) -> None:
    """Of two classes and of labels, in two updates. Against float64 log-odds of the mean probability."""
    odds, yes = confident(number, 3)
    assert (odds > 17).any(), "some probabilities are 1 in float32"
    exact = odds.double()
    mean_odds = average_draws(exact.sigmoid().log()) - average_draws((-exact).sigmoid().log())
    expected = [exact_roc_auc(mean_odds[:, label], yes[:, label]) for label in range(3)]
    of_labels, of_classes = MultilabelAUROC(3, average="none"), BinaryAUROC()
    two_classes = torch.stack((torch.zeros_like(odds[..., 0]), odds[..., 0]), dim=-1)
    for rows in (slice(0, 500), slice(500, 800)):
        scores = positive_scores(average_draws(log_probabilities(odds[:, rows], "multilabel")), "multilabel")
        of_labels.update(scores, yes[rows].long())
        scores = positive_scores(average_draws(log_probabilities(two_classes[:, rows], "multiclass")), "multiclass")
        of_classes.update(scores, yes[rows, 0].long())
    assert of_labels.compute().tolist() == pytest.approx(expected, abs=1e-5)
    assert float(of_classes.compute()) == pytest.approx(expected[0], abs=1e-5)


def test_positive_scores_of_two_classes_are_those_of_class_one() -> None:
    z = logits(12, 2)
    torch.testing.assert_close(positive_scores(log_probabilities(z, "multiclass"), "multiclass"), z.softmax(-1)[:, 1])


def test_positive_scores_of_labels_are_their_sigmoids() -> None:
    z = logits(12, 7)
    torch.testing.assert_close(positive_scores(log_probabilities(z, "multilabel"), "multilabel"), z.sigmoid())


def test_what_is_trained_through_the_offset_predicts_the_targets_frequencies() -> None:
    """A network that sees nothing learns the frequencies; the offset's smoothing is small against 90,000 nodes."""
    train, target = torch.tensor([0, 1, 2]).repeat(30_000), torch.tensor([0] * 6 + [1] * 3 + [2]).repeat(9_000)
    offset = prior_offset(train, target, 3, "multiclass")
    z = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([z], max_iter=50)

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = node_loss(log_probabilities(z + offset, "multiclass").expand(len(train), 3), train, "multiclass")
        value.backward()
        return value

    optimizer.step(loss)
    torch.testing.assert_close(z.softmax(0), torch.tensor([0.6, 0.3, 0.1]), atol=1e-3, rtol=0)


def test_the_offset_of_labels_is_of_their_log_odds() -> None:
    train, target = (torch.tensor([[1.0, 0.0]] * some + [[0.0, 0.0]] * (100_000 - some)) for some in (50_000, 20_000))
    offset = prior_offset(train, target, 2, "multilabel")
    z = torch.tensor([0.2, 0.0]).logit()
    probabilities = class_probabilities(log_probabilities(z + offset, "multilabel"), "multilabel")
    torch.testing.assert_close(probabilities, torch.tensor([0.5, 0.0]), atol=1e-3, rtol=0)
    assert float(offset[1]) == 0, "no node has it"


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_few_target_nodes_move_the_offset_little_and_none_not_at_all(task: TaskName) -> None:
    train = torch.arange(700) % 7 if task == "multiclass" else labels(700, 7).float()
    largest = [float(prior_offset(train, train[:number], 7, task).abs().max()) for number in (0, 1, 7, 700)]
    assert largest[0] == pytest.approx(0, abs=1e-6)
    assert largest[3] == pytest.approx(0, abs=0.01)
    assert 0 < largest[1] < 0.7


def test_the_loss_of_labels_that_are_known_in_part_is_over_the_known() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=generator, requires_grad=True)
    y = torch.randint(-1, 2, (6, 3), generator=generator).float()
    known = y >= 0
    loss = node_loss(log_probabilities(logits, "multilabel"), y, "multilabel")
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], y[known])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    assert logits.grad[~known].eq(0).all()
    assert logits.grad[known].ne(0).all()
    none = node_loss(log_probabilities(logits, "multilabel"), torch.full((6, 3), -1.0), "multilabel")
    assert none.item() == 0


def test_the_offset_of_labels_that_are_known_in_part_is_that_of_the_known() -> None:
    yes, gaps = torch.tensor([[1.0], [0], [1], [1]]), torch.tensor([[-1.0]] * 3)
    target = torch.tensor([[1.0], [0]])
    with_gaps = prior_offset(torch.cat((yes, gaps)), torch.cat((target, gaps)), 1, "multilabel")
    assert torch.equal(with_gaps, prior_offset(yes, target, 1, "multilabel"))


def test_balanced_weights_of_classes_are_scikit_learns_and_have_the_mean_1() -> None:
    y = torch.tensor([0] * 90 + [2] * 10)
    weights = balanced_weights(y, 4, "multiclass")
    expected = compute_class_weight("balanced", classes=np.array([0, 2]), y=y.numpy())
    assert weights.tolist() == pytest.approx([expected[0], 1, expected[1], 1])
    assert float(weights[y].mean()) == pytest.approx(1)


def test_balanced_weights_of_labels_are_no_over_yes_among_the_known() -> None:
    y = torch.tensor([[1.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, -1], [-1, 0, 1]])
    assert balanced_weights(y, 3, "multilabel").tolist() == [3, 1, 1]


def test_weighted_losses_are_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, weights = torch.randn(8, 3, generator=generator), torch.tensor([0.5, 2.0, 3.0])
    y = torch.arange(8) % 3
    expected = torch.nn.functional.cross_entropy(logits, y, weights, reduction="sum") / 8
    assert node_loss(log_probabilities(logits, "multiclass"), y, "multiclass", weights) == pytest.approx(
        float(expected)
    )
    y = torch.randint(0, 2, (8, 3), generator=generator).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, y, pos_weight=weights)
    assert node_loss(log_probabilities(logits, "multilabel"), y, "multilabel", weights) == pytest.approx(
        float(expected)
    )
