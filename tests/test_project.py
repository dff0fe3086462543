"""What makes a repository a project: declared dependencies, one version, workflows, and configs inside the wheel."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import gnnrec

HOME = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
WORKFLOWS = {path.stem: path for path in sorted((HOME / ".github" / "workflows").glob("*.yml"))}
PROMPT = "gnnrec/cli/_prompt.py"
"""The prompt of `gnnrec shell`, which is imported on a terminal only."""
FOR_USERS = set(EXTRAS) - {"dev", "test", "docs"}


def distribution(requirement: str) -> str:
    """Return the normalized name of a requirement: ``PyYAML>=6`` is ``pyyaml``."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]).lower()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the top-level modules a file imports, and whether importing the file needs them."""

    def walk(node: ast.AST, needed: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            deferred = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.Try)
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            if isinstance(child, ast.Import):
                yield from ((alias.name.split(".")[0], needed) for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
                yield child.module.split(".")[0], needed
            yield from walk(child, needed and not deferred and not typing_only)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True)


def _is_service(path: str) -> bool:
    return path.startswith("gnnrec/service/")


def third_party() -> dict[str, set[tuple[str, bool]]]:
    """Return every foreign module that the package imports, with the files that do."""
    found: dict[str, set[tuple[str, bool]]] = {}
    for path in sorted((HOME / "gnnrec").rglob("*.py")):
        for module, needed in imports(path):
            if module != "gnnrec" and module not in sys.stdlib_module_names | {"compression"}:  # of Python 3.14
                found.setdefault(module, set()).add((str(path.relative_to(HOME)), needed))
    return found


def test_every_import_is_declared() -> None:
    names = {
        "PIL": "pillow",
        "sklearn": "scikit-learn",
        "yaml": "pyyaml",
        "open_clip": "open-clip-torch",
        "umap": "umap-learn",
        "faiss": "faiss-cpu",
        "prometheus_client": "prometheus-client",
        "starlette": "fastapi",
    }
    core = {distribution(one) for one in PROJECT["project"]["dependencies"]}
    optional = {distribution(one) for extra in FOR_USERS for one in EXTRAS[extra]}
    undeclared = {}
    for module, where in third_party().items():
        name = distribution(names.get(module, module))
        if name not in core | optional:
            undeclared[module] = where
        elif name not in core:
            # An extra must not be imported at once, apart from that of the service in the service.
            if module == "prompt_toolkit":
                where = {(path, needed) for path, needed in where if path != PROMPT}
            serves = name in {distribution(one) for one in EXTRAS["serve"]}
            if eager := {(path, True) for path, needed in where if needed and not (serves and _is_service(path))}:
                undeclared[module] = eager
    assert undeclared == {}


def test_every_core_dependency_is_imported() -> None:
    names = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
    modules = set(third_party())
    for one in PROJECT["project"]["dependencies"]:
        name = distribution(one)
        assert {names.get(name, name.replace("-", "_"))} <= modules, f"{name} is declared and never imported"


@pytest.mark.parametrize("extra", ["core", *EXTRAS])
def test_requirements_have_lower_bounds(extra: str) -> None:
    """The oldest supported versions can only be tested where they are named."""
    for one in PROJECT["project"]["dependencies"] if extra == "core" else EXTRAS[extra]:
        assert re.search(r"[>=]=|^gnnrec\[", one), f"{one} in {extra} names no oldest version"


def test_one_version() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", gnnrec.__version__)
    citation = yaml.safe_load((HOME / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == gnnrec.__version__
    headings = re.findall(r"^## (.+)$", (HOME / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert headings[0].split(" ")[0] in ("Unreleased", gnnrec.__version__)
    assert gnnrec.__version__ in [heading.split(" ")[0] for heading in headings[:2]]


def test_pythons_agree() -> None:
    prefix = "Programming Language :: Python :: 3."
    classified = [f"3.{c.removeprefix(prefix)}" for c in PROJECT["project"]["classifiers"] if c.startswith(prefix)]
    jobs = yaml.safe_load(WORKFLOWS["test"].read_text(encoding="utf-8"))["jobs"]
    for job in ("tests", "package"):
        assert jobs[job]["strategy"]["matrix"]["python"] == classified
    assert (
        PROJECT["project"]["requires-python"]
        == f">={classified[0]}"
        == f">={PROJECT['tool']['mypy']['python_version']}"
    )


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_are_careful(name: str) -> None:
    flow = yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))
    assert flow["permissions"] == {"contents": "read"}, "jobs that need more say so themselves"
    assert "concurrency" in flow
    for job in flow["jobs"].values():
        assert "timeout-minutes" in job
        if "write" in str(job.get("permissions", "")):
            assert "checkout" not in str(job["steps"]), "code of the repository does not run with more than read access"
        for step in job["steps"]:
            if "uses" in step:
                assert re.search(r"@(v\d+|release/v\d+)$", step["uses"]), (
                    f"{step['uses']} is not pinned to a major version"
                )
    assert "secrets." not in WORKFLOWS[name].read_text(encoding="utf-8")


def test_what_is_released_is_installed_audited_and_listed() -> None:
    jobs = yaml.safe_load(WORKFLOWS["test"].read_text(encoding="utf-8"))["jobs"]
    release = yaml.safe_load(WORKFLOWS["release"].read_text(encoding="utf-8"))["jobs"]
    for job in (jobs["package"], release["build"]):
        (smoke,) = [step["run"] for step in job["steps"] if "smoke_test.py" in step.get("run", "")]
        assert "*.whl" in smoke and "*.tar.gz" in smoke
    assert (HOME / ".github" / "scripts" / "smoke_test.py").exists()
    oldest = " ".join(step.get("run", "") for step in jobs["oldest"]["steps"])
    assert "--resolution lowest-direct" in oldest and "pytest" in oldest
    audited = jobs["supply-chain"]["steps"]
    commands = " ".join(step.get("run", "") for step in audited)
    assert all(tool in commands for tool in ("pip-audit", "pip-licenses", "cyclonedx-py"))
    (installed,) = re.findall(r"pip install \"\.\[(.+)\]\"", commands)
    # torch_scatter is built from source; the others are models and loggers to compare with.
    assert FOR_USERS - set(installed.split(",")) == {"scatter", "baselines", "mlflow", "wandb"}


def test_lint_is_the_same_everywhere() -> None:
    rules = (HOME / "Makefile").read_text(encoding="utf-8")
    block = rules.split("\nlint: ", 1)[1].split("\n\n", 1)[0]
    commands = re.findall(r"^\t\$\(DEV_BIN\)/(.+)$", block, flags=re.MULTILINE)
    steps = yaml.safe_load(WORKFLOWS["test"].read_text(encoding="utf-8"))["jobs"]["lint"]["steps"]
    assert commands == [step["run"] for step in steps if "run" in step][1:]


def test_templates_can_be_read() -> None:
    folder = HOME / ".github"
    for name in ("bug_report", "feature_request"):
        form = yaml.safe_load((folder / "ISSUE_TEMPLATE" / f"{name}.yml").read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        ids = [field["id"] for field in form["body"] if "id" in field]
        assert len(ids) == len(set(ids))
    assert yaml.safe_load((folder / "dependabot.yml").read_text(encoding="utf-8"))["version"] == 2


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_between_files_lead_somewhere(name: str) -> None:
    text = (HOME / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert target.startswith("https://") or (HOME / target).exists(), f"{name} links to {target}"


@pytest.mark.slow
def test_the_wheel_holds_the_configs(tmp_path: Path) -> None:
    """Settings that `--config NAME` finds come with an installed package, too."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=HOME, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("gnnrec-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
        for config in (HOME / "configs").glob("*.yaml"):
            assert archive.read(f"gnnrec/configs/{config.name}") == config.read_bytes()
    assert {"gnnrec/__init__.py", "gnnrec/py.typed"} <= files
    # The service finds its pages, their styles and its migrations in an installed package, too.
    service = HOME / "gnnrec" / "service"
    kept = [path for folder in ("templates", "static", "migrations") for path in (service / folder).rglob("*.*")]
    assert len(kept) > 15
    assert {path.relative_to(HOME).as_posix() for path in kept if path.suffix != ".pyc"} <= files
    assert not [name for name in files if not name.startswith(("gnnrec/", f"gnnrec-{gnnrec.__version__}.dist-info/"))]


def test_the_installed_metadata_is_ours() -> None:
    """Fails when the environment was set up from an older pyproject.toml; set it up again."""
    (command,) = (e for e in importlib.metadata.entry_points(group="console_scripts") if e.name == "gnnrec")
    assert command.value == PROJECT["project"]["scripts"]["gnnrec"]
