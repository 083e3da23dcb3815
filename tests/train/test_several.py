"""Two processes train as one does: the same batches and losses, exact resume, signals, failures, all three families.

One pair of processes does all the work of this file; each result is compared with one process or with another formula.
"""

import itertools
import json
import signal

import pytest
import torch
from ranks import RARE, Scores, examples, scores, toy, train, whole_part
from shared_work import Work, lines, pictures, resumed_exactly
from shipping import facts
from torch import nn

from reslab.images.data import Encoded, load, sort_out
from reslab.train.batch import Batch
from reslab.train.gradient import add_gradients
from reslab.train.same_weights import digest
from reslab.train.tune import Choice
from reslab.train.world import ALONE

BOUNDS = {"equal": [0, 6, 12], "unequal": [0, 2, 11], "one is empty": [0, 0, 9]}
WEIGHTS = {"plain": None, "weighted": [0.5, 2.0, 3.0]}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """All that two processes do for this file."""
    pytest.importorskip("tokenizers")
    made = Work(tmp_path_factory.mktemp("several"))
    facts(made.root / "facts.json", unanswerable=True)
    options = {"augment": "crop", "flip": True, "mixup": 0.2, "ema": 0.9, "clip": 1.0}
    for name in ("one", "two"):
        made.images(f"images {name}", sync_bn=True, stochastic_depth=0.3, **options)
        made.questions(f"questions {name}")
        made.table(f"tables {name}")
    for family in ("images", "questions", "tables"):
        made.alone[family] = train(ALONE, family=family, folder=str(made.root / f"{family} one"))
        made.ask(family, "train", family=family, folder=str(made.root / f"{family} two"))
        made.ask(f"scores of {family}", "scores", family=family, folder=str(made.root / f"{family} one"))
    for name in ("whole", "broken"):
        made.images(name, **options)
    made.ask("whole", "train", family="images", folder=str(made.root / "whole"))
    made.ask("broken", "train", family="images", folder=str(made.root / "broken"), stop=[3, 1])
    made.ask("resumed", "train", family="images", folder=str(made.root / "broken"))
    run = made.images("other number", sync_bn=True)
    made.ask("begun by two", "train", family="images", folder=str(run.folder), stop=[2, 0])
    made.ask("nan", "train", family="images", folder=str(made.images("nan").folder), nan=[2, 1])
    for name, factor in (("rounding", 1 + 2e-7), ("fault", 1.5)):
        folder = str(made.images(name).folder)
        made.ask(name, "train", family="images", folder=folder, drift=[3, 1], factor=factor)
    made.ask("small", "train", family="images", folder=str(made.images("small", batch=1).folder))
    for which, bounds in BOUNDS.items():
        for kind, weights in WEIGHTS.items():
            made.ask(f"{which} {kind}", "gradients", bounds=bounds, weights=weights, synced=True)
        made.ask(f"norms {which}", "norms", bounds=bounds)
        made.ask(f"own {which}", "gradients", bounds=bounds)
    made.ask("parts", "gradients", bounds=[0, 5, 12], parts=2)
    made.ask("counters", "counters")
    made.ask("nothing", "gradients", bounds=[0, 0, 0])
    files = sorted(pictures(made.root / "some").glob("*/*.png"))
    for path in files[::9]:
        path.write_bytes(b"no image")
    for which in ("pictures", "some"):
        part = load(str(made.root / which), memory=0).train
        assert isinstance(part, Encoded)
        odd = sorted({*range(len(part))} - {*sort_out(part)[0]})
        made.alone[f"whole {which}"] = whole_part(ALONE, folder=str(made.root / which), broken=odd)
        made.ask(f"whole {which}", "whole_part", folder=str(made.root / which), broken=odd)
    made.run()
    return made


@pytest.mark.parametrize("family", ["images", "questions", "tables"])
def test_two_processes_train_as_one_does(family: str, work: Work) -> None:
    """Weights, losses, errors and evaluations agree to rounding; each batch is the two parts, one after the other."""
    one, two = work.alone[family], work.ranks[family]
    for a, *parts in zip(one["rows"], *(rank["rows"] for rank in two), strict=True):
        assert a == [*parts[0], *parts[1]]
        assert len(parts[1]) - len(parts[0]) in (0, 1)
    folders = [work.root / f"{family} {name}" for name in ("one", "two")]
    for event in ("train", "eval"):
        before, after = (lines(folder, event) for folder in folders)
        assert len(before) == len(after) > 0
        for a, b in zip(before, after, strict=True):
            for key in ("error", "loss", "f1", "balanced"):
                assert a.get(key, 0) == pytest.approx(b.get(key, 0), rel=2e-5)
    for key in ("iterations", "batch", "epochs"):
        assert two[0]["result"][key] == one["result"][key]
    assert two[0]["result"] == two[1]["result"]
    assert (two[0]["result"]["processes"], one["result"].get("processes")) == (2, None)
    assert json.loads((folders[1] / "env.json").read_text())["processes"] == 2
    net, same = (torch.load(folder / "last.pt", weights_only=True)["net"] for folder in folders)
    assert net.keys() == same.keys()
    for name, value in net.items():
        torch.testing.assert_close(same[name], value, rtol=2e-3, atol=2e-5, msg=name)


@pytest.mark.parametrize("family", ["images", "questions", "tables"])
def test_the_scores_of_each_example_are_those_of_one_process(family: str, work: Work) -> None:
    """Of the net that one process trained, exactly: evaluated in small batches, of which each process takes some."""
    alone = scores(ALONE, family=family, folder=str(work.root / f"{family} one"))
    assert work.ranks[f"scores of {family}"] == [alone, alone]


@pytest.mark.parametrize("which", ["pictures", "some"])
def test_precise_bn_and_features_are_those_of_one_process(which: str, work: Work) -> None:
    """To the bit, also where some images are broken: each process had some of the batches."""
    alone = work.alone[f"whole {which}"]
    assert bool(alone["broken"]) == (which == "some")
    assert work.ranks[f"whole {which}"] == [alone, alone]


def test_a_signal_to_one_stops_both_and_they_resume_exactly(work: Work) -> None:
    """SIGTERM in step 3 of rank 1: both know it in step 4. Then all is to the bit as without the break."""
    for rank in work.ranks["broken"]:
        name, code, sentence = rank["error"]
        assert (name, code) == ("Interrupted", 128 + signal.SIGTERM)
        assert sentence.startswith("stopped at iteration 4 of 8")
        assert len(rank["rows"]) == 4
    resumed_exactly(work)


def test_another_number_of_processes_goes_on_in_the_same_epoch(work: Work) -> None:
    """Two processes for three iterations, then one: every example comes once an epoch, and it ends as one alone."""
    run = work.root / "other number"
    begun = [[*a, *b] for a, b in zip(*(rank["rows"] for rank in work.ranks["begun by two"]), strict=True)]
    assert len(begun) == 3
    then = train(ALONE, family="images", folder=str(run))
    seen = [*begun, *then["rows"]]
    n = len(work.data.train)
    stream = [row for rows in seen for row in rows]
    assert sorted(stream[:n]) == sorted(stream[n : 2 * n]) == list(range(n))
    alone = work.images("never two", sync_bn=True)
    whole = train(ALONE, family="images", folder=str(alone.folder))
    assert whole["rows"] == seen
    for a, b in zip(lines(run, "train"), lines(alone.folder, "train"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=2e-5)


def test_a_nan_of_one_process_ends_both_with_one_sentence(work: Work) -> None:
    one, two = (rank["error"] for rank in work.ranks["nan"])
    assert one == two
    assert one[:2] == ["ReslabError", 1]
    assert "not finite at iteration 1" in one[2]
    assert json.loads((work.root / "nan" / "nan.json").read_text())["iteration"] == 1


def test_weights_that_differ_are_found(work: Work) -> None:
    """One weight of process 1 changes after step 3: found at the next evaluation, after two epochs."""
    at = -(-2 * len(work.data.train) // 15)
    who = f"the weights of process 1 of 2 differ from those of process 0 at iteration {at}"
    one, two = (rank["error"] for rank in work.ranks["fault"])
    assert one == two
    assert one[:2] == ["ReslabError", 1]
    assert one[2].startswith(f"{who} (stem.conv.weight by 0.")
    saved = torch.load(work.root / "fault" / "last.pt", weights_only=True)
    assert saved["iteration"] == 0
    leads, other = (rank["warned"] for rank in work.ranks["rounding"])
    assert other == []
    (told,) = leads  # once: from then on they are the same again
    assert told.startswith(f"{who} by rounding (stem.conv.weight: ")
    assert work.ranks["whole"][0]["warned"] == []


def test_a_digest_tells_states_apart() -> None:
    """The bits of 1.0 in float32 are 0x3f800000; negative zero and zero differ."""
    net = nn.Linear(2, 1)
    with torch.no_grad():
        net.weight.copy_(torch.ones(1, 2))
        net.bias.zero_()
        assert digest(net) == [2 * 0x3F800000, 0]
        net.bias.neg_()
        assert digest(net) == [2 * 0x3F800000, -(2**31)]
    assert digest(nn.BatchNorm1d(1).double())[-1] == 0
    assert digest(nn.Identity()) == []


def test_a_batch_for_fewer_examples_than_processes_is_refused(work: Work) -> None:
    for rank in work.ranks["small"]:
        assert rank["error"][:2] == ["UsageError", 2]
        assert "2 processes" in rank["error"][2]


def test_counts_that_differ_become_those_of_the_first_process(work: Work) -> None:
    for found in work.ranks["counters"]:
        assert (found["calls"], found["seen"]) == (7, [True, True])
        assert found["0.weight"] == [[1.0, 1.0], [1.0, 1.0]]


def alone_gradients(n: int, weights: list[float] | None) -> tuple[nn.Module, list[float]]:
    net = toy().train()
    x, y = examples(n)
    batch = Batch(x=x, y=y, index=torch.arange(n), iteration=0)
    loss, wrong = add_gradients(Scores(weights), net, batch, choice=Choice())  # type: ignore[arg-type]
    return net, [float(loss), float(wrong), n]


@pytest.mark.parametrize("which", ["equal", "unequal"])
def test_some_part_lacks_the_examples_of_a_branch(which: str) -> None:
    """What the next test takes for granted."""
    rare = examples(BOUNDS[which][-1])[0][:, 0] > RARE
    assert [bool(rare[a:b].any()) for a, b in itertools.pairwise(BOUNDS[which])] == [False, True]


@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("which", BOUNDS)
def test_the_sum_of_gradients_is_that_of_the_whole_batch(which: str, kind: str, work: Work) -> None:
    """Also of parts that are unequal, empty or weighted; with the norm of the whole batch all is as in one process."""
    net, told = alone_gradients(BOUNDS[which][-1], WEIGHTS[kind])
    for found in work.ranks[f"{which} {kind}"]:
        assert found["told"] == pytest.approx(told, rel=1e-5)
        for name, p in net.named_parameters():
            if p.grad is None:
                assert found["gradients"][name] is None
            else:
                torch.testing.assert_close(torch.tensor(found["gradients"][name]), p.grad, rtol=1e-4, atol=1e-6)
        for name, value in net.state_dict().items():
            if name in dict(net.named_parameters()):
                continue
            torch.testing.assert_close(torch.tensor(found["buffers"][name]), value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("which", BOUNDS)
def test_the_statistics_of_each_process_are_averaged_by_examples(which: str, work: Work) -> None:
    """Second way: a net for each part, its BatchNorm on the part alone; running values weighed by the part's size."""
    bounds = BOUNDS[which]
    n, mean, grad = bounds[-1], torch.zeros(7), torch.zeros(3)
    x, y = examples(n)
    for a, b in itertools.pairwise(bounds):
        if a < b:
            net = toy().train()
            (nn.functional.cross_entropy(net(x[a:b]), y[a:b]) * (b - a) / n).backward()
            mean += net[1].running_mean * (b - a) / n  # type: ignore[operator, index]
            grad += net[3].bias.grad  # type: ignore[index]
    for found in work.ranks[f"own {which}"]:
        torch.testing.assert_close(torch.tensor(found["buffers"]["1.running_mean"]), mean)
        torch.testing.assert_close(torch.tensor(found["gradients"]["3.bias"]), grad)
        assert found["buffers"]["1.num_batches_tracked"] == 1


def test_parts_of_parts_count_as_many_batches(work: Work) -> None:
    """Each of two processes cuts its part in two: gradients are a mean over all 12 examples."""
    grad = torch.zeros(3)
    x, y = examples(12)
    for a, b in ((0, 2), (2, 5), (5, 8), (8, 12)):
        net = toy().train()
        (nn.functional.cross_entropy(net(x[a:b]), y[a:b]) * (b - a) / 12).backward()
        grad += net[3].bias.grad  # type: ignore[index]
    for found in work.ranks["parts"]:
        torch.testing.assert_close(torch.tensor(found["gradients"]["3.bias"]), grad)
        assert found["buffers"]["1.num_batches_tracked"] == 2
    assert work.ranks["nothing"] == [None, None]


@pytest.mark.parametrize("which", BOUNDS)
def test_a_norm_over_processes_is_that_over_all_images(which: str, work: Work) -> None:
    """Second way: BatchNorm2d of torch on all images at once, in double precision."""
    bounds = BOUNDS[which]
    g = torch.Generator().manual_seed(2)
    x = (torch.randn(bounds[-1], 4, 3, 2, generator=g, dtype=torch.float64) * 3 + 1).requires_grad_()
    weight = torch.randn(x.shape, generator=g, dtype=torch.float64)
    norm = nn.BatchNorm2d(4).double()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1, 5))
    (norm(x) * weight).sum().backward()
    assert x.grad is not None
    both = work.ranks[f"norms {which}"]
    for key, value in (("out", norm(x)), ("grad", x.grad)):
        found = torch.cat([torch.tensor(rank[key], dtype=torch.float64).view(-1, 4, 3, 2) for rank in both])
        torch.testing.assert_close(found, value.detach(), rtol=1e-9, atol=1e-9)
    fresh = nn.BatchNorm2d(4).double()
    fresh(x)
    for rank in both:
        torch.testing.assert_close(torch.tensor(rank["mean"], dtype=torch.float64), fresh.running_mean)
        torch.testing.assert_close(torch.tensor(rank["var"], dtype=torch.float64), fresh.running_var)
