"""What SECURITY.md says that the project does."""

from __future__ import annotations

import ast
import re
import ssl
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

import fsproxy
from fsproxy.config.schema import UpstreamTls
from fsproxy.config.tls import client_context, server_context
from support.tools import missing, tool

PACKAGE = Path(fsproxy.__file__).parent
ROOT = PACKAGE.parent


def locked() -> list[dict[str, Any]]:
    """The packages of the lock that come from somewhere else."""
    packages: list[dict[str, Any]] = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    return [each for each in packages if each["name"] != "fsproxy"]


def test_every_locked_file_has_its_hash() -> None:
    files = [
        (each["name"], file)
        for each in locked()
        for file in [*each.get("wheels", ()), *filter(None, [each.get("sdist")])]
    ]
    assert {name for name, _ in files} == {each["name"] for each in locked()}
    assert [name for name, file in files if not file.get("hash", "").startswith("sha256:")] == []


def test_every_locked_package_is_a_release_of_the_index() -> None:
    assert [each["name"] for each in locked() if "registry" not in each["source"]] == []


def test_the_lock_knows_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    own = next(each for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"] if each["name"] == "fsproxy")
    said = {each["name"] for each in own["metadata"]["requires-dist"]}
    extras = project["optional-dependencies"].values()
    wanted = {_name(each) for each in [*project["dependencies"], *(each for extra in extras for each in extra)]}
    assert wanted - {"fsproxy"} <= said


def _name(requirement: str) -> str:
    end = next((at for at, each in enumerate(requirement) if not (each.isalnum() or each in "-_.")), None)
    return requirement[:end].lower().replace("_", "-")


def test_tls_is_1_2_or_newer_with_the_librarys_ciphers_and_verified() -> None:
    served, asked = server_context(None), client_context(UpstreamTls())
    ciphers = [each["name"] for each in ssl.create_default_context().get_ciphers()]
    for context in (served, asked):
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert context.maximum_version == ssl.TLSVersion.MAXIMUM_SUPPORTED
        assert [each["name"] for each in context.get_ciphers()] == ciphers
        assert context.options & ssl.OP_NO_COMPRESSION
    assert (asked.verify_mode, asked.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_the_admin_token_is_compared_in_constant_time_alone() -> None:
    """Also not by whether it stands in a set or a dict."""
    trees = [ast.parse(each.read_text()) for each in (PACKAGE / "admin").glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    calls = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    assert [each for each in calls if each.startswith("hmac.compare_digest(")]
    compared = [
        node for node in nodes if isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.Is | ast.IsNot)
    ]
    words = [ast.unparse(node) for node in compared]
    assert [each for each in words if {"token", "given", "expected"} & set(_words(each))] == []


def _words(text: str) -> list[str]:
    return "".join(each if each.isalnum() else " " for each in text).split()


def test_nothing_is_built_that_runs_text_as_a_program() -> None:
    """No eval, no shell, no unsafe YAML, whoever's text it is; pickles are read from the program's own workers alone."""
    banned = {
        "eval",
        "exec",
        "pickle.load",
        "pickle.loads",
        "marshal.loads",
        "os.system",
        "yaml.load",
        "yaml.unsafe_load",
    }
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                found |= {(file.name, ast.unparse(node.func))} if ast.unparse(node.func) in banned else set()
                assert not any(each.arg == "shell" for each in node.keywords), file.name
    # A worker gets its configuration from its supervisor, over a pipe that nobody else holds.
    assert found == {("worker_channel.py", "pickle.load")}


def test_the_report_goes_to_no_address_that_may_not_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    assert "private security advisories" in text
    assert "@" not in text


@pytest.mark.parametrize("script", ["run", "audit", "package", "sbom", "notes"])
def test_the_scripts_of_ci_are_programs_without_a_fault_in_their_grammar(script: str) -> None:
    path = ROOT / ".ci" / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True, timeout=10)


def test_the_hooks_before_a_commit_are_the_linters_of_ci() -> None:
    """And nothing is fetched for them."""
    script = (ROOT / ".ci/run").read_text()
    steps = [line.removeprefix("step ") for line in script.splitlines() if line.startswith("step ")]
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in repositories] == ["local"]
    assert [hook["entry"] for hook in repositories[0]["hooks"]] == [f".venv/bin/{step}" for step in steps]
    assert {hook["language"] for hook in repositories[0]["hooks"]} == {"system"}


def test_the_version_is_written_in_the_package_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["readme", "version"]
    assert project["tool"]["hatch"]["version"]["path"] == "fsproxy/__init__.py"
    assert f"## [{fsproxy.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_no_example_is_measured_by_the_clock() -> None:
    assert settings().deadline is None


# -- workflows

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def jobs_of(workflow: Path) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = yaml.safe_load(workflow.read_text())["jobs"]
    return jobs


def test_the_workflow_of_tests_has_every_python_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [each.rpartition(" ")[2] for each in project["classifiers"] if each.startswith("Programming Language")]
    versions = [each for each in named if each.startswith("3.")]
    assert jobs_of(ROOT / ".github/workflows/tests.yml")["all"]["strategy"]["matrix"]["python"] == versions
    assert f">={versions[0]}" == project["requires-python"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_names_versions_and_runs_scripts_that_there_are(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
    steps = [step for job in jobs_of(workflow).values() for step in job.get("steps", ())]
    used = [step["uses"] for step in steps if "uses" in step]
    assert [each for each in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+(\.\d+)*", each)] == []
    assert [step for step in steps if "checkout" in step.get("uses", "") and step["with"]["persist-credentials"]] == []
    scripts = re.findall(r"\.ci/\w+", workflow.read_text())
    assert [each for each in scripts if not (ROOT / each).exists()] == []
    # What strangers choose is no part of a script's text.
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def test_what_runs_every_test_has_the_history_and_may_read_it() -> None:
    """The version before comes out of it, and a checkout is shallow; in a container it belongs to somebody else."""
    for job in [job for workflow in WORKFLOWS for job in jobs_of(workflow).values()]:
        steps = job.get("steps", [])
        runs = [step.get("run", "") for step in steps]
        if ".ci/run" in runs:
            assert [step["with"]["fetch-depth"] for step in steps if "checkout" in step.get("uses", "")] == [0]
            trusted = 'git config --global --add safe.directory "$GITHUB_WORKSPACE"'
            assert trusted in runs[: runs.index(".ci/run")]


def test_updates_are_looked_for_in_every_folder_with_versions_that_no_lock_file_has() -> None:
    asked = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    folders = {each["package-ecosystem"]: ROOT / each["directory"].lstrip("/") for each in asked}
    # Of a container file it reads what FROM names, and no variables.
    assert re.search(r"^FROM [^$\s]+:\d", (folders["docker"] / "Containerfile").read_text(), re.MULTILINE)
    assert (folders["docker-compose"] / "compose.yaml").exists()
    assert (folders["uv"] / "uv.lock").exists()


def test_the_source_distribution_has_all_that_the_repository_has() -> None:
    listed = [tool("git"), "ls-tree", "--name-only", "HEAD"]
    found = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        missing("the repository")
    sent = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    # These two are always sent.
    assert {f"/{each}" for each in found.stdout.split()} - {"/.gitignore", "/pyproject.toml"} == set(sent)


# -- release notes


def notes_of(version: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / ".ci/notes", version], capture_output=True, text=True, timeout=10, check=False)


def test_the_notes_of_a_release_are_its_part_of_the_changelog_with_a_line_for_each_paragraph() -> None:
    """Where releases are shown, the end of a line is the end of a line."""
    notes = notes_of(fsproxy.__version__).stdout
    changes = (ROOT / "CHANGELOG.md").read_text().split(f"## [{fsproxy.__version__}]")[1].split("\n## [")[0]
    assert notes.split() == changes.split()[2:]  # without the dash and the date
    lines = [line for line in notes.splitlines() if line]
    assert [line for line in lines if line.startswith(" ")] == []
    paragraphs = re.split(r"\n(?=- |#)|\n\n", notes.strip())
    assert [each for each in paragraphs if "\n" in each.strip()] == []


def test_a_version_without_changes_has_no_notes() -> None:
    done = notes_of("0.0.9")
    assert (done.returncode, done.stdout) == (1, "")
    assert "0.0.9" in done.stderr
