"""Confident learning on numbers small enough to check by hand."""

import torch

from reslab.images.pictures.doubts import doubts, doubts_of_several, thresholds


def test_thresholds_are_the_mean_probability_of_the_label() -> None:
    p = torch.tensor([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.2, 0.8, 0.0]])
    assert torch.allclose(thresholds(p, torch.tensor([0, 0, 1])),
                          torch.tensor([0.7, 0.8, torch.inf], dtype=torch.float64))  # fmt: skip


def test_labels_off_the_diagonal_of_the_confident_joint_are_doubted_the_strongest_first() -> None:
    """Thresholds: class 0 (0.9 + 0.8 + 0.1 + 0.35) / 4 = 0.5375, class 1 (0.9 + 0.7 + 0.2) / 3 = 0.6.

    Images 2 and 3, labeled 0, reach class 1 alone (0.9 and 0.65); image 6, labeled 1, reaches class 0 (0.8).
    """
    p = torch.tensor([0.9, 0.8, 0.1, 0.35, 0.1, 0.3, 0.8])
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    rows, likely = doubts(torch.stack([p, 1 - p], dim=1), labels)
    assert rows.tolist() == [2, 6, 3]  # margins -0.8, -0.6, -0.3
    assert likely.tolist() == [1, 0, 1]


def test_a_class_of_which_the_net_is_unsure_is_judged_by_its_own_threshold() -> None:
    """0.45 is confident for class 1, whose images get 0.3 on average; it is suspected where the net predicts it, too.

    Image 2 has the same 0.45, but the net predicts class 0 there: neither its label nor class 1.
    """
    p = torch.tensor([[0.9, 0.1, 0.0], [0.9, 0.0, 0.1], [0.5, 0.45, 0.05], [0.7, 0.3, 0.0], [0.7, 0.3, 0.0],
                      [0.2, 0.4, 0.4], [0.35, 0.45, 0.2]])  # fmt: skip
    rows, likely = doubts(p, torch.tensor([0, 0, 2, 1, 1, 2, 2]))  # thresholds 0.9, 0.3, 0.217
    assert (rows.tolist(), likely.tolist()) == ([6], [1])  # image 5 is a tie of classes 1 and 2: its label stands


def test_a_label_that_the_net_predicts_is_not_doubted() -> None:
    """In image 0, class 1 reaches its threshold 0.4 and class 0 misses its 0.7; but the net says 0, like the label."""
    p = torch.tensor([[0.5, 0.5 - 1e-3], [0.9, 0.1], [0.6, 0.4]])
    rows, _ = doubts(p, torch.tensor([0, 0, 1]))
    assert rows.tolist() == []
    rows, _ = doubts_of_several(torch.tensor([[0.4], [0.2], [0.1]]), torch.tensor([[0], [1], [0]]))
    assert rows.tolist() == [1]  # of image 0, 0.4 is above the mean yes 0.2, but below one half


def test_each_of_several_labels_is_a_question_of_its_own() -> None:
    """Label 0: yes 0.9, 0.7 (threshold 0.8) and no 0.8, 0.1 (0.45); image 3 lacks it although the net says 0.9."""
    p = torch.tensor([[0.9, 0.1], [0.7, 0.2], [0.2, 0.1], [0.9, 0.6]])
    labels = torch.tensor([[1, 0], [1, 0], [0, 0], [0, 1]])
    rows, which = doubts_of_several(p, labels)
    assert (rows.tolist(), which.tolist()) == ([3], [0])
