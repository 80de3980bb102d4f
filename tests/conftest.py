"""What tests of all kinds share."""
import pytest
from support import browser as chrome


@pytest.fixture(scope="module")
def browser():
    if not chrome.CHROMIUM:
        pytest.skip("Chromium is not installed")
    with chrome.chromium() as browser:
        yield browser
