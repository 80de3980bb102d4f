"""The spawn page as every batch system fills it, as a picture too."""
import re

import pytest
from support import browser as chrome


@pytest.mark.parametrize(("dark", "phone"), [(False, False), (True, False), (False, True)])
def test_the_form_shows_the_clusters_choices(idle, browser, dark, phone):
    cluster = idle.cluster
    with chrome.page(browser, dark, phone) as page:
        chrome.log_in(page, idle.url, "alice")
        page.goto(f"{idle.url}/hub/spawn/alice")
        page.wait_for_load_state("networkidle")  # wait and cost come after the form
        chrome.picture(page, f"form-{cluster.system}-{'dark' if dark else 'light'}{'-phone' if phone else ''}")
        nodes = {row.locator("th").inner_text(): row.locator("td").first.inner_text().strip()
                 for row in page.locator(".hpc-free tr[data-queue]").all() if row.is_visible()}
        assert list(nodes) == cluster.form["queue"] and all(re.fullmatch(r"\d of \d", text) for text in nodes.values())
        for name, choices in cluster.form.items():
            control = page.locator(f"#hpc-{name}")
            if choices is None:
                assert not control.count(), name
            elif choices == "text":
                assert control.get_attribute("type") == "text", name
            elif isinstance(choices, str):
                assert control.get_attribute("max") == choices, name
            else:
                shown = [text.partition(" (")[0] for text in control.locator("option").all_inner_texts()]
                assert shown[1:] == choices, name
