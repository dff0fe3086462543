"""Run folders, checkpoints and caches as an enemy makes them: changed, with checksums that fit."""

from __future__ import annotations

import hashlib
import json
from random import Random
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load, save
from torch import Tensor

from benchmarks.trust.mutate import Files, dump_json, mutate_json
from gnnrec.features import store
from gnnrec.models.storage import EDGES, HEADER, TEXTS, WEIGHTS, tensors_digest
from gnnrec.training import checkpoint

TENSORS = (EDGES, WEIGHTS, "rating.safetensors")


def metadata_of(data: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    found: dict[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return found


def sign_run(files: Files) -> Files:
    """Return a run folder whose checksums fit its files."""
    out = dict(files)
    header = json.loads(out[HEADER])
    header["digests"] |= {name: hashlib.sha256(out[name]).hexdigest() for name in TEXTS if name in out}
    for name in (EDGES, WEIGHTS):
        try:
            header["digests"][name] = tensors_digest(load(out[name]))
        except Exception:  # it is no longer such a file
            continue
    out[HEADER] = dump_json(header)
    if "rating.json" in out:
        head = json.loads(out["rating.json"])
        if isinstance(head, dict):
            head["weights"] = hashlib.blake2b(out["rating.safetensors"], digest_size=16).hexdigest()
            try:
                head["recommender"] = tensors_digest(load(out[WEIGHTS]))
            except Exception:
                pass
            out["rating.json"] = dump_json(head)
    return out


def forge_run(files: Files, random: Random) -> Files:
    """Return a run with one or two values or tensors changed, and checksums that fit."""
    out = dict(files)
    for _ in range(random.choice((1, 1, 2))):
        name = random.choice([name for name in sorted(out) if not name.endswith((".png", ".yaml"))])
        if name.endswith(".json"):
            changed = mutate_json(json.loads(out[name]), random)
            out[name] = dump_json(changed)
        elif name.endswith(".safetensors"):
            out[name] = forge_tensors(out[name], random)
    try:
        return sign_run(out)
    except (ValueError, TypeError, KeyError, AttributeError):  # the header itself is of another kind
        return out


def forge_config(files: Files, random: Random) -> Files:
    """Return a run whose settings are others, in JSON, which is YAML as well."""
    import yaml

    settings = mutate_json(yaml.safe_load(files["config.yaml"]), random)
    return sign_run(files | {"config.yaml": dump_json(settings)})


def forge_tensors(data: bytes, random: Random) -> bytes:
    """Return a safetensors file with one tensor changed; its metadata stay."""
    tensors, metadata = load(data), metadata_of(data)
    name = random.choice(sorted(tensors))
    tensors = forge_tensor(tensors, name, random)
    return save({key: value.contiguous().clone() for key, value in tensors.items()}, metadata or None)


def forge_tensor(tensors: dict[str, Tensor], name: str, random: Random) -> dict[str, Tensor]:
    """Return tensors of which one has other values, another shape or type, or another name."""
    out, value = dict(tensors), tensors[name]
    kind = random.randrange(9)
    if kind <= 3 and value.numel():
        changed = value.clone().reshape(-1)
        at = random.randrange(len(changed))
        if value.is_floating_point():
            changed[at] = random.choice((float("nan"), float("inf"), float("-inf"), 1e30, -1e30, 0.0))
        elif value.dtype == torch.bool:
            changed[at] = not bool(changed[at])
        else:
            changed[at] = random.choice((-1, 0, 1, 10**6, 2**40, -(2**62))) if value.dtype == torch.int64 else 1
        out[name] = changed.reshape(value.shape)
    elif kind == 4:
        out[name] = (
            random.choice((value[:0], value[: len(value) // 2], value.unsqueeze(0), value.reshape(-1)))
            if value.dim()
            else value
        )
    elif kind == 5:
        out[name] = torch.cat([value, value]) if value.dim() else value.reshape(1)
    elif kind == 6:
        kinds = (torch.float64, torch.float16, torch.int64, torch.int32, torch.bool, torch.uint8, torch.complex64)
        out[name] = value.to(random.choice(kinds))
    elif kind == 7:
        del out[name]
    else:
        out[random.choice(("x", name + " ", "user", "rating", "features.text"))] = value.clone()
    return out


def forge_checkpoint(data: bytes, random: Random) -> bytes:
    """Return a checkpoint with one value or tensor changed, and a checksum that fits."""
    content, tensors = json.loads(metadata_of(data)["gnnrec"]), load(data)
    content.pop("digest", None)
    if random.random() < 0.5:
        content = mutate_json(content, random)
    else:
        tensors = forge_tensor(tensors, random.choice(sorted(tensors)), random)
    plain = {name: value.contiguous().clone() for name, value in tensors.items()}
    if isinstance(content, dict):
        content["digest"] = checkpoint._digest(content, plain)
    return save(plain, {"gnnrec": json.dumps(content)})


def forge_embeddings(data: bytes, random: Random) -> bytes:
    """Return a file of embeddings with one value or tensor changed, and a checksum that fits."""
    header, tensors = json.loads(metadata_of(data)["gnnrec"]), load(data)
    header.pop("digest")
    if random.random() < 0.5:
        header = mutate_json(header, random)
    else:
        tensors = forge_tensor(tensors, random.choice(sorted(tensors)), random)
    plain: dict[str, Any] = {name: value.contiguous().clone() for name, value in tensors.items()}
    if isinstance(header, dict):
        arrays = {
            name: (value.float() if value.is_floating_point() else value).numpy() for name, value in plain.items()
        }
        header["digest"] = store._digest(header, arrays)
    return save(plain, {"gnnrec": json.dumps(header)})


def declare(data: bytes, **entry: Any) -> bytes:
    """Return a safetensors file whose first tensor declares other sizes than it has."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    header[name] |= entry
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def first_tensor(path: Any) -> Tensor:
    """Return the first tensor of a file."""
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(next(iter(file.keys())))
