"""The spawn form: everything escaped, every value kept, every error beside its field."""
import json
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyterhub_hpc_spawner import form
from jupyterhub_hpc_spawner.batch.kinds import of_queue
from jupyterhub_hpc_spawner.declared import parse_choices
from jupyterhub_hpc_spawner.errors import OptionErrors
from jupyterhub_hpc_spawner.form_data import counted, follow, from_link, rules
from jupyterhub_hpc_spawner.model import ClusterInfo, Environment, NodeKind, Queue, Reservation
from jupyterhub_hpc_spawner.offers import offer
from jupyterhub_hpc_spawner.options import Options, Policy, Profile, parse_options
from jupyterhub_hpc_spawner.script import make_templates
from support.large_cluster import cluster as large_cluster
from support.large_cluster import policy as large_site

TEMPLATES = make_templates()
HOSTILE = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'onfocus='alert(1)", "&lt;b&gt; &amp;",
           "a\"b'c`d",
           "{{ 7 * 7 }}", "{% raw %}", "</option></select>", "é\u202e\u2028", "]]>"]
VOID = {"input", "img", "br", "meta", "link"}


class Page(HTMLParser):
    """The elements of a page: (tag, attributes) with the text directly inside."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.selected = [], [], {}
        self.feed(html)
        self.close()
        assert not self.open, "every element is closed"

    def handle_starttag(self, tag, attributes):
        assert len(attributes) == len({name for name, _ in attributes}), "no attribute twice"
        element = {"tag": tag, "text": "", "parents": [parent["tag"] for parent in self.open], **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)
        if tag == "option":
            select = next(parent for parent in reversed(self.open) if parent["tag"] in ("select", "datalist"))
            select.setdefault("options", []).append(element)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop()["tag"] == tag, f"</{tag}> closes what is open"

    def handle_data(self, data):
        if self.open:
            self.open[-1]["text"] += data

    def find(self, tag=None, **attributes):
        return [element for element in self.elements if tag in (None, element["tag"])
                and all(element.get(name) == value for name, value in attributes.items())]

    def control(self, name):
        control, = [e for e in self.elements if e["tag"] in ("input", "select") and e.get("name") == name]
        return control

    def value(self, name):
        """What the browser would send of a form that nobody touches."""
        control = self.control(name)
        if control["tag"] == "select":
            chosen = [option for option in control["options"] if "selected" in option] or control["options"]
            return chosen[0]["value"]
        return control["value"] if control.get("type") != "checkbox" or "checked" in control else ""


def page(policy=Policy(), info=ClusterInfo(), user="alice", values=None, errors=None, **more):
    return Page(form.render(TEMPLATES, policy, offer(policy, info, user), values or {}, errors or {}, **more))


INFO = ClusterInfo(
    queues=(Queue("normal", default=True, max_walltime=86400, max_nodes=3, cores=4, total_nodes=3, idle_nodes=2,
                  gpus={"a100": 2}, features=("mc", "himem")), Queue("closed", up=False)),
    accounts={"alice": ("geo", "bio")}, qos={"alice": ("normal", "short")},
    reservations=(Reservation("course", users=("alice",)), Reservation("theirs", users=("bob",)),
                  Reservation("geo-week", accounts=("geo",)), Reservation("open")),
)
BUSY = Policy(profiles={"small": Profile({"cores": 1}, display_name="Small")},
              interfaces={"lab": "/lab", "notebook": "/tree"},
              environments={"jupyter": Environment("/opt", description="Jupyter and Dask")})


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_text_wherever_it_comes_from(hostile):
    harmless = {element["tag"] for element in page(BUSY, INFO, errors={"nodes": "x", "zz": "y"}).elements}
    info = ClusterInfo(queues=(Queue(hostile, features=(hostile,), gpus={hostile: 1}), Queue("b", features=("x",))),
                       accounts={"alice": (hostile, "geo")})
    policy = Policy(profiles={hostile: Profile({}, display_name=hostile)}, interfaces={hostile: "/"},
                    environments={hostile: Environment(description=hostile)}, custom_environment=True)
    found = page(policy, info, values={"memory": hostile, "environment": hostile, "queue": hostile},
                 errors={"memory": hostile, "queue": hostile, hostile: hostile})
    assert found.value("memory") == found.value("environment") == found.value("queue") == hostile
    assert [e["text"] for e in found.find(id="hpc-memory-error")] == [hostile]
    for name in ("queue", "account", "node_type", "gpu_type", "interface"):
        assert hostile in [option["value"] for option in found.control(name)["options"]]
    assert hostile in [option["text"] for option in found.find("datalist")[0]["options"]]
    assert hostile in [radio["value"] for radio in found.find("input", name="profile")]
    assert hostile in [label["text"] for label in found.find("label")]
    rules = json.loads(found.find("div", **{"class": "hpc-form"})[0]["data-rules"])
    assert hostile in rules["presets"]
    assert [e["text"] for e in found.find("strong")] == [hostile]
    assert {e["tag"] for e in found.elements} <= harmless | {"datalist"}
    assert not [name for e in found.elements for name in e if name.startswith("on") or name == "src"]


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@pytest.mark.parametrize("value, ticked", [(True, True), ("on", True), ("True", True), (False, False), ("off", False),
                                           ("", False), (None, False)])
def test_a_box_is_ticked_as_it_was(value, ticked):
    assert ("checked" in page(values={"dask": value}).control("dask")) == ticked


@settings(max_examples=20)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(Options.model_fields, TEXT)))
def test_every_value_that_was_typed_is_there_again(values):
    found = page(BUSY, values=values, errors=dict.fromkeys(values, "no"))
    for name, value in values.items():
        if name == "profile":
            assert not [radio for radio in found.find("input", name=name) if "checked" in radio and radio["value"]]
        elif found.find("input", name=name, type="checkbox"):
            assert ("checked" in found.control(name)) == (value.lower() in ("true", "on", "1", "yes"))
        elif found.find(None, name=name):
            assert found.value(name) == value


@pytest.mark.parametrize("name, kind",
                         [("nodes", "number"), ("memory", "text"), ("queue", "select"), ("dask", "checkbox")])
def test_an_error_stands_beside_its_field_for_eyes_and_screen_readers(name, kind):
    found = page(info=INFO, errors={name: "that cannot be"})
    control, error = found.control(name), *found.find(id=f"hpc-{name}-error")
    assert error["text"] == "that cannot be" and kind in (control["tag"], control.get("type"))
    assert control["aria-invalid"] == "true" and "is-invalid" in control["class"].split() and "autofocus" in control
    described = control["aria-describedby"].split()
    assert described[0] == f"hpc-{name}-error" and all(len(found.find(id=part)) == 1 for part in described)


def test_only_the_first_error_takes_the_focus():
    found = page(errors={"memory": "x", "nodes": "y"})
    assert [e["name"] for e in found.elements if "autofocus" in e] == ["nodes"]


def test_an_error_of_a_field_that_is_not_shown_is_an_alert():
    alert, = page(errors={"nonsense": "is not an option here"}).find(role="alert")
    assert alert["text"] == ": is not an option here"


def test_without_errors_nothing_looks_wrong():
    found = page(BUSY, INFO)
    assert not [e for e in found.elements
                if "aria-invalid" in e or "is-invalid" in e.get("class", "") or e.get("role") == "alert"]
    assert all("hidden" in e for e in found.elements if "invalid-feedback" in e.get("class", ""))


def test_every_control_has_a_label_a_section_and_an_id_of_its_own():
    found = page(BUSY, INFO)
    controls = [e for e in found.elements if e["tag"] in ("input", "select") and e.get("type") != "hidden"]
    labels = {label["for"]: label["text"].strip() for label in found.find("label")}
    assert len(controls) >= 15 and all(labels[control["id"]] for control in controls)
    assert all("fieldset" in control["parents"] for control in controls)
    ids = [e["id"] for e in found.elements if "id" in e]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name, values", [
    ("queue", ["", "normal"]), ("account", ["", "geo", "bio"]), ("qos", ["", "normal", "short"]),
    ("reservation", ["", "course", "geo-week", "open"]), ("node_type", ["", "mc", "himem"]), ("gpu_type", ["", "a100"]),
    ("interface", ["", "lab", "notebook"]), ("environment", ["jupyter"]),
])
def test_the_form_offers_what_cluster_and_site_have_for_this_user(name, values):
    assert [option["value"] for option in page(BUSY, INFO).control(name)["options"]] == values


@pytest.mark.parametrize("values, title, facts, chosen", [
    ({}, "My own choice", "Fill in what you need below.", ""),
    ({"queue": "normal", "nodes": 2, "dask": True}, "As last time", "normal, 2 nodes, Dask", ""),
    ({"profile": "small", "cores": "1"}, "As last time", "1 node, 1 core", "small"),
    ({"profile": "gone"}, "As last time", "1 node", ""),
])
def test_presets_are_cards_with_what_was_chosen_last_time_in_front(values, title, facts, chosen):
    found = page(BUSY, INFO, values=values)
    radios = found.find("input", name="profile")
    assert [radio["value"] for radio in radios] == ["", "small"]
    assert [radio["value"] for radio in radios if "checked" in radio] == [chosen]
    labels = {label["for"]: label["text"] for label in found.find("label")}
    assert [labels[radio["id"]] for radio in radios] == [title, "Small"]
    assert [e["text"] for e in found.find("span", **{"class": "hpc-card-facts"})] == [facts, "1 node, 1 core"]


@pytest.mark.parametrize("source, title",
                         [("last", "As last time"), ("link", "As in the link"), ("typed", "As filled in")])
def test_the_first_card_says_where_its_values_are_from(source, title):
    assert page(BUSY, INFO, values={"nodes": 2}, source=source).find("label")[0]["text"] == title


def test_the_fields_show_what_the_chosen_preset_fills_in_where_the_values_say_nothing():
    policy = Policy(profiles={"wide": Profile({"nodes": 3, "dask": True, "walltime": "2h"})})
    found = page(policy, INFO, values={"profile": "wide", "dask": "off", "walltime": "", "cores": "2"})
    assert [found.value(name) for name in ("nodes", "dask", "walltime", "cores")] == ["3", "", "2h", "2"]
    facts = found.find("span", **{"class": "hpc-card-facts"})
    assert facts[0]["text"] == "3 nodes, 2 cores, 2h", "the first card too"


SAVED = {"profile": "fixed", "reservation": "course", "gpus": 2, "node_type": "himem", "dask": True, "qos": "short",
         "environment": "jupyter", "account": "bio"}
GEO = Policy(profiles={"fixed": Profile({"cores": 1}, lock=("cores", "account")), "geo": Profile({"account": "geo"}),
                       "open": Profile({"nodes": 2})})


@pytest.mark.parametrize("link, saved, shown", [
    ({"nodes": "2"}, SAVED, {"nodes": "2", "account": "bio"}), ({"nodes": "2"}, {}, {"nodes": "2"}),
    ({"account": "geo"}, SAVED, {"account": "geo"}),
    ({"profile": "open"}, SAVED, {"profile": "open", "account": "bio"}),
    # The preset names one, or says that there is none.
    ({"profile": "geo"}, SAVED, {"profile": "geo"}), ({"profile": "fixed"}, SAVED, {"profile": "fixed"}),
    ({"nodes": "2"}, {"account": "gone"}, {"nodes": "2"}), ({"nodes": "2"}, {"account": ["x"]}, {"nodes": "2"}),
    ({"profile": "unheard-of", "cores": "x"}, {"account": 7}, {"profile": "unheard-of", "cores": "x"}),
    ({}, SAVED, {}), ({"utm_source": "mail"}, SAVED, {}),
])
def test_a_link_means_the_same_to_everybody_but_for_the_account_which_is_the_users_own(link, saved, shown):
    assert from_link(link, saved, GEO, offer(GEO, INFO, "alice")) == shown


def sent_untouched(found):
    """What a browser without scripts sends of a form that nobody touches."""
    names = {e["name"] for e in found.elements if e["tag"] in ("input", "select") and "name" in e} - {"profile"}
    chosen = [radio["value"] for radio in found.find("input", name="profile") if "checked" in radio]
    return form.read({"profile": chosen, **{name: [found.value(name)] for name in names}})


LAST = {"queue": "normal", "cores": 3, "dask": True, "account": "bio", "memory": "2G"}
PICK = Policy(profiles={"fixed": Profile({"cores": 1, "ipyparallel": True}, lock=("cores",)), "ours": Profile({})},
              environments=BUSY.environments)


@pytest.mark.parametrize("values, touched, counts", [
    (LAST, {"profile": "fixed"}, {"profile": "fixed"}),
    (LAST, {"profile": "fixed", "memory": "4G"}, {"profile": "fixed", "memory": "4G"}),
    (LAST, {"profile": "fixed", "memory": "", "dask": ""}, {"profile": "fixed", "dask": "off"}),
    (LAST, {"profile": "fixed", "ipyparallel": "on"}, {"profile": "fixed", "ipyparallel": "on"}),
    ({}, {"profile": "fixed"}, {"profile": "fixed"}),
    # With the same preset, or with none, the fields are what they are.
    (LAST, {}, {**LAST, "cores": "3", "dask": "on", "environment": "jupyter"}),
    ({"profile": "ours", **LAST}, {"profile": ""}, {**LAST, "cores": "3", "dask": "on", "environment": "jupyter"}),
    ({"profile": "ours", "dask": True}, {"dask": ""}, {"profile": "ours", "dask": "off", "environment": "jupyter"}),
    ({"profile": "fixed"}, {"ipyparallel": ""},
     {"profile": "fixed", "cores": "1", "ipyparallel": "off", "environment": "jupyter"}),
])
def test_without_scripts_untouched_fields_do_not_count_beside_another_preset(values, touched, counts):
    sent = {**sent_untouched(page(PICK, INFO, values=values)), **touched}
    assert counted({name: value for name, value in sent.items() if value}) == counts


@pytest.mark.parametrize("shown", ["{", "[]", "7", "null", '{"cores": 3}', '{"zz": "1"}', '{"cores": {"a": 1}}',
                                   "[" * 100000, '"cores"', "\ud800"])
def test_a_hidden_field_that_is_not_ours_changes_nothing_and_is_refused(shown):
    values = {"profile": "fixed", "cores": "3", "as_shown": shown}
    assert counted(values) == values
    with pytest.raises(OptionErrors, match="as_shown: is not an option here"):
        parse_options(counted(values), PICK, offer(PICK, INFO, "alice"))


def test_the_hidden_field_takes_no_notice_of_the_lock_away():
    values = {"profile": "fixed", "cores": "3", "as_shown": json.dumps({"cores": "2", "profile": "ours"})}
    with pytest.raises(OptionErrors, match="is fixed by the preset fixed"):
        parse_options(counted(values), PICK, offer(PICK, INFO, "alice"))


def test_a_browser_with_scripts_has_no_hidden_field():
    hidden, = page(PICK, INFO).find("input", type="hidden")
    assert hidden["parents"][-1] == "noscript"


@pytest.mark.parametrize(("name", "value"), [("walltime", 60), ("walltime", "1h"), ("memory", 2048), ("cores", 2)])
def test_what_a_preset_fills_in_means_what_the_site_wrote(name, value):
    policy, offered = Policy(profiles={"small": Profile({name: value})}), offer(Policy(), ClusterInfo(), "alice")
    filled_in = rules(policy, offered)["presets"]["small"]["values"][name]
    assert parse_options({name: filled_in}, policy, offered) == parse_options({name: value}, policy, offered)


def test_boxes_that_a_preset_or_the_site_ticks_are_told_however_it_writes_that():
    policy = Policy(defaults={"ipyparallel": "yes", "dask": False},
                    profiles={"on": Profile({"dask": "true"}), "off": Profile({"dask": "no"})})
    found = rules(policy, offer(policy, ClusterInfo(), "alice"))
    assert found["ticked"] == ["ipyparallel"]
    assert {name: preset["values"]["dask"] for name, preset in found["presets"].items()} == {"on": "on", "off": ""}


def test_a_site_without_presets_shows_all_fields_unfolded():
    found = page(info=INFO)
    assert not found.find("input", name="profile") and not any("data-fold" in e for e in found.find("details"))


def test_the_form_of_a_large_cluster_is_no_large_page():
    """As benchmarks/form.py measures it: 200 queues, 50 node types, 500 accounts in at most 300 kB."""
    site, info = large_site(), large_cluster(200, 50, 500)
    html = form.render(TEMPLATES, site, offer(site, info, "alice"), {"queue": "partition-001"}, {})
    assert all(name in html for name in ("partition-199", "node-type-49", "project-499"))
    assert len(html.encode()) <= 300_000


def table(found):
    """The texts of the table of what is free now, by line."""
    rows, = [[]]
    for element in found.elements:
        if "table" in element["parents"] and element["tag"] == "tr":
            rows.append([])
        if "table" in element["parents"] and element["tag"] in ("th", "td"):
            rows[-1].append(" ".join(element["text"].split()))
    return rows


def test_what_is_free_is_seen_at_a_glance():
    """Of the queues that this user is offered, and of more than a few of the first."""
    big = Queue("big", total_nodes=9, idle_nodes=2, free_cores=20, all_cores=72, waiting=4)
    info = ClusterInfo(queues=(big, Queue("untold", total_nodes=3), Queue("closed", total_nodes=3, up=False),
                               Queue("theirs", total_nodes=3, users=("bob",)), Queue("nobody-tells")))
    found = page(info=info)
    assert [row[0] for row in table(found)] == ["Queue", "big", "untold"]
    assert table(found)[2][2:] == ["–", "–"] and table(found)[1][3] == "4"
    assert [(e["value"], e["max"]) for e in found.find("meter")] == [("2", "9"), ("0", "3")]
    many = ClusterInfo(queues=tuple(Queue(f"q{n}", total_nodes=1) for n in range(20)))
    assert len(table(page(info=many))) == 10 and table(page(info=many))[-1][0].startswith("and 12 more")
    assert not table(page()) and not table(page(info=ClusterInfo(queues=(Queue("nobody-tells"),))))


def test_with_presets_only_the_theme_with_an_error_is_unfolded():
    found = page(BUSY, INFO, errors={"memory": "no"})
    titles = [e["text"] for e in found.find("legend", **{"class": "visually-hidden"})]
    themes = found.find("details", **{"class": "hpc-theme"})
    assert [title for title, theme in zip(titles, themes) if "data-fold" not in theme] == ["Resources"]
    assert all("open" in theme for theme in themes), "without a script all is to be seen"


def test_where_the_cluster_tells_nothing_anything_can_be_typed():
    found = page()
    assert {found.control(name)["type"] for name in ("queue", "account", "qos", "reservation", "node_type")} == {"text"}


@pytest.mark.parametrize("policy, shown", [
    (Policy(), {"queue", "nodes", "walltime", "dask"}),
    (Policy(unsupported=frozenset({"queue", "walltime"})), {"nodes", "dask"}),
])
def test_what_the_batch_system_cannot_express_is_not_shown(policy, shown):
    names = {e.get("name") for e in page(policy, INFO).elements}
    assert names & {"queue", "nodes", "walltime", "dask"} == shown


@pytest.mark.parametrize("policy, name, maximum", [
    (Policy(), "nodes", "3"), (Policy(limits={"nodes": 2}), "nodes", "2"), (Policy(), "cores", "4"),
    (Policy(), "gpus", "2")])
def test_numbers_have_the_largest_value_that_any_queue_or_the_site_allows(policy, name, maximum):
    assert page(policy, INFO).control(name).get("max") == maximum


def test_a_saved_choice_that_is_gone_stays_visible():
    queue = page(info=INFO, values={"queue": "old"}).control("queue")
    assert [option["text"] for option in queue["options"] if "selected" in option] == ["old (not available)"]


def test_a_site_names_what_is_chosen_and_the_form_sends_the_batch_systems_names():
    policy = Policy(choices=parse_choices({
        "queue": {"normal": {"title": "Standard", "description": "for most work"}},
        "account": {"geo": {"title": "Geology"}},
        "node_type": {"himem": {"title": "Large memory"}, "*": {}}}))
    found = page(policy, INFO)
    texts = {name: [(o["value"], o["text"]) for o in found.control(name)["options"]]
             for name in ("queue", "account", "node_type")}
    assert texts == {
        "queue": [("", "Standard, the default (2 of 3 nodes idle, up to 1-00:00:00)"),
                  ("normal", "Standard: for most work (2 of 3 nodes idle, up to 1-00:00:00)")],
        "account": [("", "your default one"), ("geo", "Geology")],
        "node_type": [("", "any"), ("himem", "Large memory"), ("mc", "mc")]}


def test_where_the_default_queue_is_not_offered_another_one_must_be_taken():
    info = ClusterInfo(queues=(Queue("normal", default=True), Queue("debug"), Queue("low")))
    found = page(Policy(choices=parse_choices({"queue": {"low": {}, "debug": {}}})), info)
    assert [option["value"] for option in found.control("queue")["options"]] == ["low", "debug"]


def test_an_unlisted_choice_that_was_made_elsewhere_is_shown_as_it_is_called():
    policy = Policy(choices=parse_choices({"queue": {"normal": {"hide": "form", "title": "Old"}, "*": {}}}))
    info = ClusterInfo(queues=(Queue("normal"), Queue("debug")))
    options = page(policy, info, values={"queue": "normal"}).control("queue")["options"]
    assert [option["text"] for option in options if "selected" in option] == ["Old"]
    assert "normal" not in [option["value"] for option in page(policy, info).control("queue")["options"]]


@pytest.mark.parametrize("values, limits, choices, defaults", [
    ({}, {"cores": ["4", "at most 4 in queue normal"],
          "walltime": ["1-00:00:00", "at most 1-00:00:00 in queue normal"]}, {}, {"walltime": "01:00:00"}),
    ({"node_type": "himem"}, {"cores": ["2", "at most 2 on himem nodes in queue normal"]}, {"gpu_type": ["a100"]}, {}),
    ({"node_type": "mc"}, {"gpus": ["0", "none on mc nodes in queue normal"]}, {"gpu_type": []}, {}),
    ({"queue": "debug", "node_type": ["x"]}, {"cores": ["4", "at most 4 in queue debug"]}, {"node_type": ["mc"]}, {}),
    ({"queue": 7, "account": None}, {"cores": ["4", "at most 4 in queue normal"]}, {}, {}),
    ({"queue": "unheard-of"}, {}, {}, {}),
])
def test_other_fields_follow_the_queue_and_the_nodes(values, limits, choices, defaults):
    kinds = (NodeKind(("mc",), 4, total=2), NodeKind(("himem",), 2, gpus={"a100": 2}, total=1))
    info = ClusterInfo(queues=(
        Queue("normal", default=True, max_walltime=86400, default_walltime=3600, **of_queue(kinds)),
        Queue("debug", **of_queue(kinds[:1]))))
    found = follow(Policy(), offer(Policy(), info), values)
    assert {name: found["limits"].get(name) for name in limits} == limits
    assert {name: found["choices"].get(name) for name in choices} == choices
    assert defaults.items() <= found["defaults"].items()
    json.dumps(found)


@pytest.mark.parametrize("allowed, values, chosen", [
    ({"queue": ("debug", "normal")}, {"queue": "normal"}, "normal"), ({"queue": ("debug", "normal")}, {}, "debug"),
    ({"queue": ("", "normal")}, {}, ""),
])
def test_allowed_values_are_all_that_can_be_chosen(allowed, values, chosen):
    found = page(Policy(allowed=allowed), INFO, values=values)
    assert [option["value"] for option in found.control("queue")["options"]] == list(allowed["queue"])
    assert found.value("queue") == chosen


def test_allowed_numbers_show_the_one_that_was_chosen():
    assert page(Policy(allowed={"nodes": (1, 2, 4)}), values={"nodes": 2}).value("nodes") == "2"


@pytest.mark.parametrize("data, values", [
    ({"queue": ["normal"], "nodes": ["2"]}, {"queue": "normal", "nodes": "2"}),
    ({"queue": ["a", "b"]}, {"queue": "b"}), ({"queue": []}, {}), ({"queue": [""]}, {}), ({"queue": ["  "]}, {}),
    ({"dask": ["on"]}, {"dask": "on"}), ({"_xsrf": ["token"]}, {}), ({"unknown": ["x"]}, {"unknown": "x"}),
    ({"working_dir": [" ~/a b "]}, {"working_dir": " ~/a b "}), ({"upload_file": [{"body": b""}]}, {}), ({}, {}),
])
def test_form_data_becomes_one_text_a_key_without_what_was_left_empty(data, values):
    assert form.read(data) == values
