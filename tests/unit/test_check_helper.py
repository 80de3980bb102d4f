"""Whether others than root could change the helper, as ``check`` sees it."""
import os
import tempfile
from pathlib import Path

import pytest
from jupyterhub_hpc_spawner.hub.check.helper import writable

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can make what belongs to root")


@pytest.fixture
def helper():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        path = Path(directory, "bin/helper")
        path.parent.mkdir(mode=0o755)
        path.touch(0o755)
        Path(directory).chmod(0o755)
        yield path


def test_what_is_roots_alone_may_be_below_a_directory_with_the_sticky_bit(helper):
    assert writable(helper) is None


@pytest.mark.parametrize("part", [0, 1, 2], ids=["file", "bin", "prefix"])
@pytest.mark.parametrize(("change", "words"), [
    (lambda path: path.chmod(0o757), "can be written by others than root"),
    (lambda path: (os.chown(path, 0, 12345), path.chmod(0o775)), "can be written by others than root"),
    (lambda path: os.chown(path, 12345, 0), "belongs to 12345"),
], ids=["anybody", "group", "owner"])
def test_who_else_could_change_it_is_told(helper, part, change, words):
    place = [helper, *helper.parents][part]
    change(place)
    assert writable(helper) == f"{place} {words}"


def test_roots_own_group_is_root(helper):
    helper.chmod(0o775)
    assert writable(helper) is None
