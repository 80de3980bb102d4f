"""Whatever users send: an error that names the field, or a job that holds what was asked for and nothing else."""
import random
from shlex import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jupyterhub_hpc_spawner import form
from jupyterhub_hpc_spawner.errors import OptionErrors
from jupyterhub_hpc_spawner.script import make_templates
from support import hostile

BOMBS = ("{0.__class__}", "{{7*7}}", "%s", "{username}", "{username:>200000000}", "{% raw %}", "%(x)s")


@pytest.fixture(scope="module", params=hostile.SYSTEMS)
def spawner(request, tmp_path_factory):
    return hostile.site(tmp_path_factory.mktemp("site"), request.param)


def outcome(spawner, raw):
    try:
        options = spawner.parse_options(raw)
    except OptionErrors as errors:
        assert all(error.field and "\n" not in error.message for error in errors.errors)
        return "refused"
    assert hostile.strays(spawner, options) == []
    return "taken"


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_request_is_refused_or_becomes_what_it_asks_for(spawner, generator):
    outcome(spawner, hostile.request(generator))


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_so_does_a_form_and_a_link(spawner, generator):
    outcome(spawner, form.read(hostile.form_data(generator)))


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_page_can_be_made_of_whatever_was_stored_and_what_a_link_says(spawner, generator):
    stored, link = hostile.request(generator), form.read(hostile.form_data(generator))
    values = {**(stored if isinstance(stored, dict) else {}), **link}
    page = form.render(make_templates(), spawner.policy, spawner.offer, values, {})
    assert page.encode() and "<script>alert" not in page


def test_half_a_character_is_no_end_of_the_page(spawner):
    page = form.render(make_templates(), spawner.policy, spawner.offer, {"working_dir": "/a\ud800b"}, {})
    assert "/a?b" in page


def test_many_of_them_come_through(spawner):
    generator = random.Random(1)
    counts = [outcome(spawner, hostile.request(generator)) for _ in range(80)]
    assert 8 < counts.count("taken") < 70


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_text_of_a_user_is_a_pattern(spawner, bomb):
    """It is refused, or comes out as it went in."""
    for field in hostile.GOOD:
        assert field == "working_dir" or outcome(spawner, {field: bomb}) == "refused"
    for field in ("working_dir", "environment"):
        options = spawner.parse_options({field: f"~/{bomb}"})
        assert getattr(options, field) == f"~/{bomb}" and hostile.strays(spawner, options) == []


@pytest.mark.parametrize("made, plain, text", [
    ("#SBATCH --account=geo --uid=0", "#SBATCH --account=PLACE0X", "geo --uid=0"),
    ("#SBATCH --account=geo\n#SBATCH --uid=0", "#SBATCH --account=PLACE0X", "geo\n#SBATCH --uid=0"),
    ("#SBATCH --account=x", "#SBATCH --account=PLACE0X", "geo"), ("#SBATCH --mem=2", "#SBATCH --mem=1", ""),
    ("environment=/$(id)", "environment=/PLACE0X", "$(id)"), ('environment="/$(id)"', "environment=/PLACE0X", "$(id)"),
    ("environment=/a b", "environment=/PLACE0X", "a b"), ("environment='/a'b'", "environment=/PLACE0X", "a'b"),
])
def test_what_is_looked_for_is_seen(made, plain, text):
    """A look at the look itself."""
    assert hostile.stray_lines(made, plain, {"PLACE0X": text})


@pytest.mark.parametrize("text", ["$(id)", "a b", "a'b", 'a"b'])
def test_a_quoted_word_is_no_stray(text):
    assert not hostile.stray_lines(f"environment={quote('/' + text)}", "environment=/PLACE0X", {"PLACE0X": text})
