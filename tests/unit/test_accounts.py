"""Who a user is, by this machine's directory of users; one that hangs keeps nobody waiting for long."""
import asyncio
import grp
import os
import pwd
import time
from types import SimpleNamespace

import pytest
from jupyterhub_hpc_spawner.errors import HelperError
from jupyterhub_hpc_spawner.hub import commands, staging
from jupyterhub_hpc_spawner.hub.commands import Accounts, Helper
from jupyterhub_hpc_spawner.hub.spawner import HPCSpawner

ME = pwd.getpwuid(os.geteuid())


@pytest.fixture
def accounts():
    return Accounts()


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """Every question is asked of a program that writes down that it runs, and hangs."""
    program = tmp_path / "getent"
    program.write_text(f'#!/bin/sh\necho $$ >>"{tmp_path}/asked"\nexec /bin/sleep 60\n')
    program.chmod(0o755)
    monkeypatch.setattr(commands, "base_environment", lambda extra: {"PATH": str(tmp_path)})
    monkeypatch.setattr(Accounts, "PATIENCE", 1)
    return lambda: (tmp_path / "asked").read_text().split() if (tmp_path / "asked").exists() else []


async def test_a_user_is_who_the_system_says(accounts):
    found = await accounts.find(ME.pw_name)
    assert (found.uid, found.gid, found.home, found.shell) == (ME.pw_uid, ME.pw_gid, ME.pw_dir, ME.pw_shell)
    groups = os.getgrouplist(ME.pw_name, ME.pw_gid) if os.geteuid() == 0 else []
    assert sorted(found.groups) == sorted(groups)
    assert grp.getgrgid(ME.pw_gid).gr_name in await accounts.groups(ME.pw_name)


@pytest.mark.parametrize("name", ["nobody-of-that-name", str(ME.pw_uid), "groups"])
async def test_a_stranger_is_nobody_whatever_the_name(accounts, name):
    assert await accounts.find(name) is None
    assert await accounts.groups(name) is None
    with pytest.raises(HelperError, match=f"there is no system user {name}"):
        await Helper("/nonexistent").ask(name, "end", 5)


async def test_who_was_asked_for_is_known_for_a_while(accounts, monkeypatch):
    found = await accounts.find(ME.pw_name)
    monkeypatch.setattr(commands, "base_environment", lambda extra: {"PATH": "/nonexistent"})
    assert await accounts.find(ME.pw_name) is found
    monkeypatch.setattr(commands.time, "monotonic", lambda: time.time() + Accounts.KEPT)
    with pytest.raises(HelperError):
        await accounts.find(ME.pw_name)


async def test_a_directory_that_hangs_is_no_answer_and_keeps_nobody_waiting(hanging):
    helper, ticks = Helper("/nonexistent"), []

    async def tick():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    others = asyncio.ensure_future(tick())
    with pytest.raises(HelperError, match=f"does not say who {ME.pw_name} is") as caught:
        await helper.ask(ME.pw_name, "end", 5)
    others.cancel()
    assert "no system user" not in str(caught.value)
    with pytest.raises(HelperError, match="does not say who"):  # asked at once again, it would hang at once again
        await helper.ask(ME.pw_name, "end", 5)
    assert len(hanging()) == 1
    assert max(after - before for before, after in zip(ticks, ticks[1:])) < 0.5
    assert [pid for pid in hanging() if os.path.exists(f"/proc/{pid}")] == []


async def test_of_many_questions_that_hang_few_run_at_once_and_all_are_told(accounts, hanging):
    asked = [asyncio.ensure_future(accounts.find(f"student{number}")) for number in range(3 * Accounts.AT_ONCE)]
    done, _ = await asyncio.wait(asked, timeout=Accounts.PATIENCE + 5)
    assert len(done) == len(asked) and all(isinstance(task.exception(), HelperError) for task in asked)
    assert len(hanging()) <= Accounts.AT_ONCE
    # What hung is over: somebody else's question is asked at once.
    with pytest.raises(HelperError):
        await accounts.find("other")
    assert len(hanging()) <= Accounts.AT_ONCE + 1


@pytest.mark.parametrize(("root", "own", "expected"), [
    ("~/s", None, f"{ME.pw_dir}/s"), ("~/s", "/elsewhere", "/elsewhere/s"),
    ("/scratch/{username}", None, f"/scratch/{ME.pw_name}"),
])
async def test_the_home_directory_is_the_sites_or_the_systems(root, own, expected):
    spawner = HPCSpawner(**({"req_homedir": own} if own else {}), session_root=root)
    spawner.user = SimpleNamespace(name=ME.pw_name, settings={"hpc_spawner_cluster": SimpleNamespace(
        helper=Helper("/nonexistent"))})
    await staging.find_home(spawner)
    assert staging.session_root(spawner) == expected
