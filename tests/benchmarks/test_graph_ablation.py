"""`python benchmarks/graph_ablation.py` on a small dataset, what it reads from trained layers, and the page."""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import gnnrec
from gnnrec.datasets import make_sample
from gnnrec.evaluation import evaluate
from gnnrec.models.gnn import make_encoder
from gnnrec.nn import GraphTensors, LightGCN, MovieEmbeddings, NodeFeatures
from gnnrec.splitting import random_split
from tests.helpers.registries import restored_registries

HOME = Path(__file__).resolve().parents[2]
SCRIPT = HOME / "benchmarks" / "graph_ablation.py"
QUICK = ("train.epochs=2", "train.batch_size=64", "model.embedding_dim=8")
Run = Any


@pytest.fixture(autouse=True)
def encoders_of_the_script_are_gone_afterwards() -> Iterator[None]:
    with restored_registries():
        yield


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the script on a small dataset and returns a section of what it writes."""
    make_sample(120, 90).to_folder(tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNNREC_DATA", raising=False)

    def call(section: str, *options: str, dataset: str = "small") -> dict[str, Any]:
        words = [str(SCRIPT), section, "--dataset", dataset, "--json", "out/x.json", *options]
        monkeypatch.setattr(sys, "argv", [*words, *(word for one in QUICK for word in ("--set", one))])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        found: dict[str, Any] = json.loads(Path("out/x.json").read_text())["sections"]
        return found[f"{section}: {dataset}"]

    return call


def test_rates_are_chosen_on_validation_ratings(run: Run) -> None:
    found = run("warm", "--rows", "1 layer", "--rates", "0.01,1", "--seeds", "2")
    (row,) = found["rows"]
    assert row["rate"] == float(max(row["valid_by_rate"], key=row["valid_by_rate"].get))
    assert row["valid"] == max(row["valid_by_rate"].values())
    assert row["command"].startswith("python benchmarks/graph_ablation.py warm --dataset small --rows '1 layer'")

    split = random_split(gnnrec.load_dataset("small"))
    config = gnnrec.Config.from_yaml("ml1m").override([*QUICK, "train.final_lr_ratio=0.1", "train.k=20"])
    rate = config.train.learning_rate * row["rate"]
    expected = []
    for seed in (0, 1):
        own = config.override([f"train.learning_rate={rate:.4g}", f"train.seed={seed}"])
        with pytest.warns(UserWarning, match="no validation ratings"):
            model = gnnrec.fit(split._with(valid=split.valid.iloc[:0]), config=own, progress=False)
        users = evaluate(model, split, ks=[20], metrics=["ndcg"], per_user=True)
        expected.append(float(users["ndcg@20"].mean()))
    assert row["test"][""]["ndcg@20"] == pytest.approx(expected)
    sizes = [one["users"] for one in row["by_length"]]
    assert sum(sizes) == split.test["user_id"].nunique()
    total = np.average([one["ndcg@20"] for one in row["by_length"]], weights=sizes)
    assert total == pytest.approx(np.mean(expected))


def test_rows_are_added_to_the_file(run: Run) -> None:
    run("warm", "--rows", "1 layer", "--rates", "1")
    found = run("warm", "--rows", "0 layers: profile only;1 layer, without genres", "--rates", "1")
    rows = {row["row"]: row for row in found["rows"]}
    assert list(rows) == ["0 layers: profile only", "1 layer", "1 layer, without genres"]
    assert rows["1 layer, without genres"]["valid_by_rate"].keys() == {"1.0"}
    ndcg = {name: row["test"][""]["ndcg@20"][0] for name, row in rows.items()}
    assert ndcg["0 layers: profile only"] < ndcg["1 layer"]
    assert len(set(ndcg.values())) == 3


def test_cold_users_by_the_number_of_known_ratings(run: Run) -> None:
    found = run("cold-users", "--rows", "0 layers: profile only;1 layer", "--rates", "1")
    cases = {row["row"]: row["test"] for row in found["rows"]}
    assert [*cases["1 layer"]] == [f"{n} ratings" for n in (5, 0, 1, 3, 10)]
    assert found["rows"][0]["by_length"] == []


def test_sparse_data_are_two_files(run: Run) -> None:
    split = random_split(make_sample(100, 80), (0.8, 0.0, 0.2))
    folder = Path("pairs")
    folder.mkdir()
    for part in ("train", "test"):
        getattr(split, part)[["user_id", "movie_id"]].to_csv(folder / f"{part}.csv", index=False)
    found = run("sparse", "--rows", "2 layers", "--rates", "1", "--users", "30", dataset="pairs")
    assert found["protocol"].endswith("a tenth of train for validation; 30 users evaluated")
    (row,) = found["rows"]
    assert sum(one["users"] for one in row["by_length"]) == 30
    assert len(row["diagnosis"]["beta"]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rows", "4 layers"), "unknown row '4 layers'"),
        (("--groups", "height"), "unknown group 'height'"),
        (("--rates", "fast"), "--rates must be numbers"),
        (("--seeds", "0"), "--seeds must be 1 or more"),
        (("--rows", "1 layer, without genres"), "measure that row first"),
    ],
)
def test_invalid_arguments(run: Run, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        run("warm", *options)
    assert not Path("out/x.json").exists()


# What is read from trained layers


@pytest.fixture
def trained() -> gnnrec.RecGraph:
    config = gnnrec.Config().override([*QUICK, "model.num_layers=3"])
    found: gnnrec.RecGraph = gnnrec.fit(make_sample(60, 40), config=config, progress=False)
    return found


def test_three_layers_can_be_written_as_one(trained: gnnrec.RecGraph) -> None:
    """LightGCN is linear in the vectors of movies: a table of what they are after propagation needs no propagation."""
    diagnosis = importlib.import_module("graph_diagnosis")
    deep, graph = trained.encoder, trained.graph
    assert isinstance(deep, LightGCN)
    tensors = GraphTensors.from_graph(graph)
    movies, users = diagnosis.propagated(deep, tensors, None)
    z = deep.profile(NodeFeatures.from_users(graph.users)) + sum(a * u for a, u in zip(deep.alpha, users, strict=True))
    targets = deep.target(tensors.movie_features) + sum(b * m for b, m in zip(deep.beta, movies[1:], strict=True))

    config = trained.config.override(["model.num_layers=1", "model.attributes=[]", "model.numeric_features=false"])
    shallow = make_encoder(config, graph)
    shallow.load_state_dict(
        {name: value for name, value in deep.state_dict().items() if name in shallow.state_dict()}
        | {
            "message.id_embeddings": sum(a * m for a, m in zip(deep.alpha, movies, strict=True)),
            "target.id_embeddings": targets,
            "message.linear.weight": torch.zeros(8, 0),
            "target.linear.weight": torch.zeros(8, 0),
            "alpha": torch.ones(1),
            "beta": torch.ones(0),
        }
    )
    same = shallow.aggregate(graph.users, shallow.embed_movies(tensors))
    assert torch.allclose(same, z, atol=1e-5)
    assert torch.allclose(shallow.embed_movies(tensors).targets, targets, atol=1e-6)
    assert not torch.allclose(
        shallow.aggregate(graph.users, MovieEmbeddings([movies[0]], targets, tensors.movie_degree)), z, atol=1e-2
    )


def test_diagnosis(trained: gnnrec.RecGraph) -> None:
    diagnosis = importlib.import_module("graph_diagnosis")
    found = diagnosis.diagnose(trained)
    assert len(found["cosine_movies"]) == len(found["cosine_users"]) == len(found["alpha"]) == 3
    assert len(found["beta"]) == 2
    assert 0 < found["hidden_ratio"] < 1, "half of the ratings carry shorter messages"
    assert found["cosine_users"][2] > found["cosine_users"][0], "each step makes users more alike"
    tensors = GraphTensors.from_graph(trained.graph)
    movies, users = diagnosis.propagated(trained.encoder, tensors, None)
    adjacency = torch.zeros(trained.graph.num_users, trained.graph.num_movies)
    index = tensors.users.user_index, tensors.users.movie_index
    degrees = tensors.users.user_movie.degrees()[0] + trained.encoder.user_degree_smoothing
    adjacency[index] = (degrees[index[0]] * trained.encoder.movie_degrees(tensors)[index[1]]).rsqrt()
    assert torch.allclose(users[0], adjacency @ movies[0], atol=1e-5)
    assert torch.allclose(movies[1], adjacency.T @ users[0], atol=1e-5)


def test_mean_cosine() -> None:
    mean_cosine = importlib.import_module("graph_diagnosis").mean_cosine
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    cosines = torch.nn.functional.cosine_similarity(x[:, None], x[None], dim=2)
    expected = cosines[~torch.eye(7, dtype=torch.bool)].mean()
    assert mean_cosine(torch.cat([x, torch.zeros(2, 3)])) == pytest.approx(float(expected), abs=1e-5)


# The page


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(HOME / "docs" / "_scripts")
    return importlib.import_module("make_graph")


def test_the_page_is_current(page: ModuleType) -> None:
    for name, text in page.pages(HOME / "benchmarks" / "results" / "graph-ablation.json").items():
        assert (HOME / "docs" / name).read_text(encoding="utf-8") == text, "run: make graph-page"


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        ([0.3, 0.4], [0.2, 0.39], "better (+0.0550 NDCG@20, 2 seeds)"),
        ([0.2, 0.39], [0.3, 0.4], "worse (-0.0550 NDCG@20, 2 seeds)"),
        ([0.3, 0.4], [0.31, 0.38], "no clear difference (+0.0050 NDCG@20, 2 seeds)"),
        ([0.2015], [0.2, 0.3], "no clear difference (+0.0015 NDCG@20, 1 seed)"),
        ([0.19], [0.2], "worse (-0.0100 NDCG@20, 1 seed)"),
    ],
)
def test_what_a_difference_is_called(page: ModuleType, after: list[float], before: list[float], expected: str) -> None:
    assert page.said(after, before, 20) == expected


def test_rates_at_the_edge_of_the_grid_are_marked(page: ModuleType) -> None:
    row = {"rate": 3.0, "learning_rate": 0.002, "valid_by_rate": {"0.3": 0.1, "1.0": 0.2, "3.0": 0.3}}
    assert page.rate(row) == "0.006 (edge)"
    assert page.rate(row | {"rate": 1.0}) == "0.002"
    assert page.rate(row | {"valid_by_rate": {"3.0": 0.3}}) == "0.006", "a rate that was not chosen here"
