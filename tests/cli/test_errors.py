"""Every mistake is answered with one line on standard error, and nothing is left behind."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from gnnrec.cli._output import errors
from tests.helpers.cli import BRACKETS, QUICK, call, fails, succeeds

Arguments = Callable[[Path, Path, Path], tuple[object, ...]]
"""From the folders of the run, the dataset and the split to the arguments of a command."""

MISTAKES: dict[str, tuple[Arguments, str]] = {
    "split and protocol": (
        lambda run, d, s: ("train", "--split", "x", "--protocol", "random"), "use either --split or --protocol, not both",
    ),
    "split and protocol of evaluate": (
        lambda run, d, s: ("evaluate", run, "--split", s, "--protocol", "random"),
        "use either --split or --protocol, not both",
    ),
    "protocol": (lambda run, d, s: ("train", "--protocol", "fair"), "unknown protocol 'fair'; choose one of random"),
    "protocol typo": (lambda run, d, s: ("train", "--protocol", "recbol"), "did you mean 'recbole'?"),
    "protocol option": (
        lambda run, d, s: ("train", "--protocol", "random:fold=1"),
        "unknown protocol option 'fold'; options with the random splitter are fractions, seed, min_rating, k_core",
    ),
    "protocol value": (
        lambda run, d, s: ("benchmark", "--dataset", d, "--protocol", "random:history=test", "--models", "ease"),
        "history must be one of train, train+valid, not 'test'",
    ),
    "no value": (lambda run, d, s: ("train", "--protocol", "random:seed=3,fold"), "cannot read 'fold'; write name"),
    "split option": (
        lambda run, d, s: ("train", "--dataset", d, "--split", f"{s}:k_core=5"),
        "a split folder has no option 'k_core'; its options are mask, history, negatives, seed",
    ),
    "split mask": (
        lambda run, d, s: ("evaluate", run, "--split", f"{s}:mask=all"),
        "mask must be one of train, train+valid, not 'all'",
    ),
    "split seed": (lambda run, d, s: ("evaluate", run, "--split", f"{s}:seed=1"), "seed is for sampled negatives"),
    "dataset option": (lambda run, d, s: ("train", "--dataset", "sample:users=5"), "unknown option users"),
    "nothing left": (lambda run, d, s: ("train", "--dataset", "sample:k_core=999"), "are left after 999-core"),
    "no negatives": (
        lambda run, d, s: ("evaluate", run, "--split", f"{s}:negatives=nowhere.csv"), "nowhere.csv",
    ),
    "time limit": (
        lambda run, d, s: ("train", "--dataset", "sample:num_users=20", "--time-limit", "0"), "above 0",
    ),
    "no models": (lambda run, d, s: ("benchmark", "--dataset", "sample:num_users=40", "--models", ","), "no model is"),
    "model": (lambda run, d, s: ("benchmark", "--models", "gnn,magic"), "unknown model 'magic'; choose one of gnn"),
    "model of train": (lambda run, d, s: ("train", "--model", "eas"), "unknown model 'eas'; did you mean 'ease'?"),
    "hyperparameter": (
        lambda run, d, s: ("train", "--model", "ease", "--set", "reg=-1"), "EASE: reg: must be above 0",
    ),
    "seeds": (lambda run, d, s: ("benchmark", "--dataset", "sample:num_users=40", "--seeds", "0"), "seeds must be an"),
    "metric": (lambda run, d, s: ("benchmark", "--metric", "ndgc"), "unknown metric 'ndgc'; did you mean 'ndcg'?"),
    "out format": (
        lambda run, d, s: ("evaluate", run, "--out", "x.txt"), "cannot write x.txt: the file must end in .json, .csv",
    ),
    "no run": (lambda run, d, s: ("evaluate", "nowhere"), "nowhere is not a saved run: it has no run.json"),
    "no split": (lambda run, d, s: ("evaluate", run, "--split", "nowhere"), "nowhere is not a folder"),
    "not a split": (lambda run, d, s: ("evaluate", run, "--split", d), "mine has no train.csv, valid.csv, test.csv"),
    "unknown user": (lambda run, d, s: ("recommend", run, "--user", "999"), "user 999 is not in the graph"),
    "text user": (lambda run, d, s: ("recommend", run, "--user", "bob"), "user 'bob' is not in the graph"),
    "known and new": (
        lambda run, d, s: ("recommend", run, "--user", "1", "--age", "3"),
        "--user is for a known user; --rating, --disliked, --history, --age, --gender and --occupation describe a new one",
    ),
    "gender": (lambda run, d, s: ("recommend", run, "--gender", "X"), "'X'"),
    "occupation": (lambda run, d, s: ("recommend", run, "--occupation", "artis"), "artist"),
    "age": (lambda run, d, s: ("recommend", run, "--age", "-4"), "age -4.0"),
    "k": (lambda run, d, s: ("recommend", run, "-k", "0"), "k must be an integer of at least 1, not 0"),
    "rating": (lambda run, d, s: ("recommend", run, "--rating", "1=inf"), "finite"),
    "title": (
        lambda run, d, s: ("recommend", run, "--rating", "Heat [directors cut] (1995)"), f"did you mean {BRACKETS!r}",
    ),
    "title like markup": (lambda run, d, s: ("recommend", run, "--rating", "[red]zz[/red]"), "unknown movie '[red]zz[/red]'"),
    "k of predict": (lambda run, d, s: ("predict", run, "-k", "0"), "k must be an integer of at least 1, not 0"),
    "user of predict": (lambda run, d, s: ("predict", run, "--user", "999"), "user 999 is not in the graph"),
    "movie of predict": (lambda run, d, s: ("predict", run, "--movie", "No Such Film"), "unknown movie 'No Such Film'"),
    "run of predict": (lambda run, d, s: ("predict", "nowhere"), "nowhere is not a saved run: it has no run.json"),
    "similar to nothing": (lambda run, d, s: ("similar", run), "name a movie of the run, or describe a new one"),
    "map": (lambda run, d, s: ("map", run, "--out", "map.svg"), "--out must end in .png, got map.svg"),
    "tune": (lambda run, d, s: ("tune",), "--config is missing: a YAML file with a search space"),
    "no plots": (lambda run, d, s: ("features", "--dataset", s.parent / "plain.csv"), "has no plots; give --posters"),
    "plugin": (lambda run, d, s: ("train", "--plugin", "nowhere"), "the plugin 'nowhere' cannot be imported"),
    "plugin file": (lambda run, d, s: ("train", "--plugin", "no.py"), "the plugin 'no.py' cannot be imported: ImportError: there is no"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, run: Path, dataset: Path, split_folder: Path) -> None:
    (split_folder.parent / "plain.csv").write_text("user_id,movie_id\n1,10\n1,20\n1,30\n")
    arguments, expected = MISTAKES[name]
    before = sorted(path.name for path in run.parent.rglob("*"))
    assert expected in fails(*arguments(run, dataset, split_folder))
    assert sorted(path.name for path in run.parent.rglob("*")) == before
    assert not list(Path().iterdir()), "nothing is left in the working folder"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device"),
        (OSError(errno.EROFS, "Read-only file system", "a/b"), "error: Read-only file system: a/b"),
        (MemoryError(), "error: not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory:\n you tried"),
         "error: DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)  # fmt: skip
def test_what_the_system_cannot_do_is_a_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as stopped, errors():
        raise error
    assert stopped.value.exit_code == 1
    assert capsys.readouterr().err.splitlines() == [line]


def test_other_errors_are_bugs_and_keep_their_traceback() -> None:
    for error in (RuntimeError("mat1 and mat2"), KeyError("x"), typer.Exit(3)):
        with pytest.raises(type(error)) as caught, errors():
            raise error
        assert caught.value is error


AFTER_READING: dict[str, tuple[Arguments, str]] = {
    "already trained on": (
        lambda run, d, s: ("evaluate", run, "--dataset", d, "--protocol", "temporal"),
        "is also in the history or the mask; such movies are never recommended",
    ),
    "negatives": (
        lambda run, d, s: ("benchmark", "--dataset", d, "--protocol", "random:negatives=40", "--models", "ease"),
        "negatives",
    ),
    "benchmark folder": (lambda run, d, s: ("benchmark", "--dataset", d, "--out", d.parent / "x.json"), "is a folder"),
    "not a run": (lambda run, d, s: ("train", "--dataset", d, "--out", d), "exists and is not a saved run; choose"),
    "no checkpoint": (lambda run, d, s: ("train", "--dataset", d, "--out", "new", "--resume"), "nothing to resume"),
    "other config": (
        lambda run, d, s: ("train", "--dataset", d, "--split", s, "--out", run, "--resume", "--set", "train.seed=9"),
        "was made with another config or other data",
    ),
    "below a file": (
        lambda run, d, s: ("train", "--dataset", d, "--out", d / "ratings.csv" / "run", *QUICK), "ratings.csv",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AFTER_READING)
def test_mistakes_that_need_the_data(name: str, run: Path, dataset: Path, split_folder: Path) -> None:
    (dataset.parent / "x.json").mkdir(exist_ok=True)
    arguments, expected = AFTER_READING[name]
    before = sorted(path.name for path in run.parent.rglob("*"))
    result = call(*arguments(run, dataset, split_folder))
    assert result.exit_code == 1, result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert expected in last
    assert sorted(path.name for path in run.parent.rglob("*")) == before


def test_mistakes_in_the_data(tmp_path: Path) -> None:
    bad = tmp_path / "ratings.csv"
    bad.write_text("user_id,movie_id,rating\n1,10,5\n1,20,good\n")
    assert fails("train", "--dataset", bad).startswith(f"{bad}:3: ")
    bad.write_text("")
    assert str(bad) in fails("train", "--dataset", tmp_path)
    assert "unknown dataset 'nosuch'" in fails("train", "--dataset", "nosuch")
    bad.write_text("user_id,movie_id\n1,10\n1,20\n1,30\n")
    assert "has no timestamps" in fails("train", "--dataset", bad, "--protocol", "leave-one-out")


def test_mistakes_in_the_config(tmp_path: Path) -> None:
    yaml = tmp_path / "c.yaml"
    sample = ("train", "--dataset", "sample", "--config", yaml)
    assert fails(*sample) == f"there is no config file {yaml}"
    yaml.write_text("model: [1\n x: {")
    assert fails(*sample).startswith(f"{yaml} is not YAML: ")
    yaml.write_text("- 1\n- 2\n")
    assert fails(*sample) == f"{yaml} must hold keys and values, not list"
    yaml.write_text("model: {num_layers: 0}\ntrain: {epoch: 3}\n")
    assert fails(*sample) == (
        f"{yaml} is not valid: model.num_layers: must be at least 1, not 0; "
        "train.epoch: there is no such key; did you mean 'train.epochs'?"
    )
    yaml.write_text("")
    assert "write section.key=value" in fails(*sample, "--set", "epochs")
    assert "unknown loss 'bp'" in fails(*sample, "--set", "train.loss=bp")


@pytest.mark.parametrize(
    "words",
    [
        ("trian",),
        ("train", "--modle", "gnn"),
        ("train", "--time-limit", "soon"),
        ("evaluate",),
        ("fetch",),
        ("--what",),
    ],
)
def test_usage_errors_have_status_2(words: tuple[str, ...]) -> None:
    result = call(*words)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert result.stdout == ""


def test_warnings_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user_id,movie_id\n1,10\n1,20\n2,10\n2,30\n")
    result = call("train", "--dataset", tmp_path, "--protocol", "random:fractions=[0.5,0.0,0.5]", *QUICK)
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert line == "warning: no validation ratings: all epochs run and the last one is kept"
    assert ".py" not in result.stderr
    succeeds("evaluate", "runs/latest")
