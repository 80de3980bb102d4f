"""The scheduler behind ``batch_system = "local"``, run as the program that it is, by many at once."""
import os
import subprocess
import sys

import pytest

from jupyterhub_hpc_spawner import localbatch

AT_ONCE = 12


@pytest.fixture
def program(tmp_path):
    env = {**os.environ, "HPC_LOCAL_JOBS": str(tmp_path / "jobs")}

    def start(*words):
        return subprocess.Popen([sys.executable, localbatch.__file__, *words], env=env, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return start


def test_who_asks_meets_only_whole_records(program, tmp_path):
    log = str(tmp_path / "log")
    running = [program(*words) for _ in range(AT_ONCE) for words in (("submit", log), ("list",))]
    done = [(process, *process.communicate("#!/bin/sh\nexit 0\n", timeout=60)) for process in running]
    assert {(process.returncode, stderr) for process, _, stderr in done} == {(0, "")}
    ids = [stdout.strip() for _, stdout, _ in done[::2]]
    assert sorted(ids, key=int) == [str(number) for number in range(1, AT_ONCE + 1)]
    assert not list((tmp_path / "jobs").glob("*.new-*"))


def test_a_record_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    """Also in the moment in which it is written."""
    seen = []
    monkeypatch.setattr(localbatch.json, "dumps", lambda job: seen.append(list(tmp_path.glob("*.json"))) or "{}")
    localbatch._write(tmp_path / "1.json", {}, exclusive=True)
    assert seen == [[]]
    with pytest.raises(FileExistsError):
        localbatch._write(tmp_path / "1.json", {}, exclusive=True)
    assert os.listdir(tmp_path) == ["1.json"]
