"""The dashboard in a real browser: behind the owner's login, with live plots, and in the sidebar of JupyterLab."""
import pytest
from support import browser as chrome
from support.kernel import run_code
from support.running_hub import request, wait_for
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

ONLY = ("newest",)

BUSY = """
import time
from dask.distributed import Client
client = Client()
client.wait_for_workers(2, timeout=80)
def nap(n):
    time.sleep(0.05)
client.gather(client.map(nap, range(40), pure=False))
"""
# Is the task stream there, and how many of these tasks has it drawn?
STREAM = """() => (window.Bokeh ? Bokeh.documents : []).flatMap(document => [...document._all_models.values()])
    .find(model => model.type == "ColumnDataSource" && "duration_text" in model.data)"""
NAPS = f"() => Array.from(({STREAM})().data.name).filter(name => name.startsWith('nap')).length"


@pytest.mark.browser
def test_the_plots_get_live_data(session, browser):
    frames = []
    with chrome.page(browser) as page:
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: frames.append(socket.url)))
        chrome.log_in(page, session.url, session.user)
        # The server is there before Dask is.
        run_code(session.server_url, session.user_token(session.user), "from dask.distributed import Client; Client()")
        page.goto(f"{session.server_url}dask-dashboard/status")
        page.wait_for_function(f"Boolean(({STREAM})())", timeout=60000)
        assert page.evaluate(NAPS) == 0
        run_code(session.server_url, session.user_token(session.user), BUSY)
        page.wait_for_function(f"({NAPS})() == 40", timeout=60000)
        chrome.picture(page, "dashboard")
    assert any(url.endswith(f"/user/{session.user}/dask-dashboard/status/ws") for url in frames)


def test_the_plots_data_is_for_nobody_else(session):
    url = session.server_url.replace("http", "ws", 1) + "dask-dashboard/status/ws"
    with pytest.raises(InvalidStatus) as refused:
        connect(url, subprotocols=["bokeh", "token"], proxy=None)
    assert refused.value.response.status_code == 403


def test_the_dashboard_is_refused_to_another_user_of_the_hub(session):
    """Through the proxy, with a token that the Hub takes: pages, what they load, and their data."""
    session.add_user("somebody-else")
    run_code(session.server_url, session.user_token(session.user), BUSY)
    for path in ("status", "json/counts.json", "metrics"):
        url = f"{session.server_url}dask-dashboard/{path}"
        assert request("GET", url, token=session.user_token(session.user)).status == 200, path
        assert request("GET", url, token=session.user_token("somebody-else"), follow=False).status == 403, path
    with pytest.raises(InvalidStatus) as refused:
        connect(session.server_url.replace("http", "ws", 1) + "dask-dashboard/status/ws", proxy=None,
                subprotocols=["bokeh", "token"],
                additional_headers={"Authorization": f"token {session.user_token('somebody-else')}"})
    assert refused.value.response.status_code == 403


@pytest.mark.browser
def test_the_dashboard_is_refused_to_another_user_who_is_logged_in(session, browser):
    session.add_user("somebody-else")
    with chrome.page(browser) as page:
        chrome.log_in(page, session.url, "somebody-else")
        answer = page.goto(f"{session.server_url}dask-dashboard/status")
        assert answer.status == 403 and "dask" not in page.title().lower(), page.content()


def open_sidebar(page, session):
    chrome.log_in(page, session.url, session.user)
    page.goto(f"{session.server_url}lab?reset")
    page.click("li[data-id='dask-dashboard-launcher']", timeout=60000)


@pytest.mark.browser
def test_the_sidebar_shows_this_jobs_dashboard_without_a_click(session, browser):
    token = session.user_token(session.user)
    with chrome.page(browser) as page:
        open_sidebar(page, session)
        sidebar = page.locator("#dask-dashboard-launcher")
        plot = sidebar.get_by_role("button", name="Task Stream", exact=True)
        plot.wait_for(timeout=30000)
        wait_for(plot.is_enabled, 30, lambda: sidebar.inner_text())
        assert "dask-dashboard" in page.input_value(".dask-URLInput input")
        plot.click()
        frame = page.frame_locator("iframe[src*='individual-task-stream']")
        frame.locator(".bk-Canvas, canvas").first.wait_for(timeout=30000)
        run_code(session.server_url, token, BUSY)
        chrome.picture(page, "sidebar")


@pytest.mark.browser
def test_the_sidebar_scales_by_extra_jobs_and_never_ends_the_sessions_own_workers(session, browser):
    token = session.user_token(session.user)
    with chrome.page(browser) as page:
        open_sidebar(page, session)
        cluster = page.locator(".dask-ClusterListingItem", has_text="This session")
        shown = cluster.get_by_text("Number of Workers: 2")
        shown.wait_for(timeout=60000)
        cluster.get_by_text("SCALE").click()
        page.locator(".dask-ScalingInput").first.fill("3")
        page.locator(".jp-Dialog button", has_text="Scale").click()
        cluster.get_by_text("Number of Workers: 3").wait_for(timeout=90000)
        chrome.picture(page, "sidebar-scaled")
        cluster.get_by_text("SHUTDOWN").click()
        cluster.wait_for(state="detached", timeout=60000)
        names = """
from dask.distributed import Client
print(sorted(worker["name"] for worker in Client().scheduler_info()["workers"].values()))"""
        wait_for(lambda: "extra" not in run_code(session.server_url, token, names), 30, lambda: "extra workers stay")
        assert len(eval(run_code(session.server_url, token, names))) == 2
