"""The example notebook on a real cluster: it finds what was put in, with the workers of both nodes."""
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from support.kernel import run_code

ONLY = ("slurm",)
NOTEBOOK = Path(__file__).parent.parent.parent / "templates" / "demo" / "ensemble.ipynb"
SIZE = "RESOLUTION = 5 "
# As a user does in a terminal of the session.
RUN = """
import subprocess, sys
from dask.distributed import Client
Client().wait_for_workers(4, timeout=60)
done = subprocess.run([sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", {path!r}],
                      capture_output=True, text=True)
print(done.stderr[-4000:] if done.returncode else "done")
"""
TELL = """
import json
print(json.dumps({
    "workers": sorted(work), "left": os.path.exists(directory), "warmest": warmest, "spread": ratio,
    "trend": float(found.mean()), "trends": [float(found.min()), float(found.max())],
    "pattern": float(abs(trends.mean("member") / warming - 1).mean()),
    "january": monthly.sel(month=1, lat=[-65, 65], lon=115).values.tolist(),
}))
"""


@pytest.fixture
def directory():
    path = Path("~alice").expanduser() / "example"
    path.mkdir()
    shutil.chown(path, "alice")
    yield path
    shutil.rmtree(path)


def small(notebook):
    """A size that takes seconds, and a last cell that tells what was found."""
    size = [cell for cell in notebook["cells"] if SIZE in "".join(cell["source"])]
    size[0]["source"] = "".join(size[0]["source"]).replace(SIZE, "RESOLUTION = 10 ")
    notebook["cells"].append({"cell_type": "code", "id": "tell", "metadata": {}, "source": TELL, "outputs": [],
                              "execution_count": None})
    return notebook


def nodes(hub):
    sessions = Path("~alice").expanduser() / ".local/share/jupyterhub-hpc-spawner"
    return json.loads((sessions / hub.state("alice")["name"] / "session.json").read_text())["nodes"]


def outputs(notebook):
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def test_the_example_finds_the_climate_that_was_put_in(session, directory):
    path = directory / NOTEBOOK.name
    path.write_text(json.dumps(small(json.loads(NOTEBOOK.read_text()))))
    shutil.chown(path, "alice")
    printed = run_code(session.server_url("alice"), session.user_token("alice"), RUN.format(path=str(path)), 300)
    assert printed == "done\n", printed
    done = outputs(json.loads(path.read_text()))
    found = json.loads("".join(done[-1]["text"]))
    assert [output for output in done if output.get("name") == "stderr"] == []
    assert len([output for output in done if "image/png" in output.get("data", {})]) == 5
    assert Counter(name.rsplit("-", 1)[0] for name in found["workers"]) == dict.fromkeys(nodes(session), 2)
    assert not found["left"], "the last cell removes the data"
    assert found["warmest"] == {"north": 7, "south": 1}
    south, north = found["january"]
    assert -30 < north < -22 and -5 < south < 2, "a continental winter and a polar summer over the sea"
    assert found["trend"] == pytest.approx(0.2, abs=0.01) and found["pattern"] < 0.2
    assert 0.01 < found["trends"][1] - found["trends"][0] < 0.1, "members agree in the global mean, and not quite"
    assert found["spread"] == pytest.approx(1, abs=0.03)


def test_the_stored_example_is_clean():
    text = NOTEBOOK.read_text()
    stored = outputs(json.loads(text))
    assert len(text) < 300_000 and len([output for output in stored if "image/png" in output.get("data", {})]) == 5
    assert not [output for output in stored if output["output_type"] == "error" or output.get("name") == "stderr"]
