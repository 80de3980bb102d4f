"""Hostile requests, and what a job may hold of them: for tests and for the benchmark that throws them at every road."""
import json
import re
import shlex

from jupyterhub_hpc_spawner.errors import OptionError
from jupyterhub_hpc_spawner.hub import staging
from jupyterhub_hpc_spawner.hub.offline import make_spawner

SYSTEMS = {"slurm": {}, "pbs": {}, "torque": {}, "lsf": {}, "condor": {},
           "sge": {"smp_environment": "smp", "parallel_environment": "mpi-{cores}"}}
# A site that lets much through, so that what users send comes far.
SITE = """
c.JupyterHub.spawner_class = "hpc"
c.HPCSpawner.batch_system = "{system}"
c.HPCSpawner.batch_settings = {settings}
c.HPCSpawner.discover = []
c.HPCSpawner.custom_environment = True
c.HPCSpawner.environments = {{"test": {{"path": "/opt/test"}}}}
c.HPCSpawner.profiles = {{"small": {{"options": {{"cores": 1}}, "lock": ["cores"]}}}}
c.HPCSpawner.limits = {{"nodes": 8}}
c.HPCSpawner.session_root = "{root}"
"""
# What somebody might hope to have run, expanded, filled in or taken for a line, a word or a path of its own.
SHARDS = (
    "$(touch /tmp/x)", "`id`", "${HOME}", "$((1/0))", "\n#SBATCH --uid=0\n", "\n#PBS -u root", "\r\n#$ -P x",
    "; id #", "&& id", "| sh", "> /etc/x", "<(id)", "' ; id ; '", "\" ; id ; \"", "\\", "\\\n", "\0", "\x1b[2J",
    "\x7f", "\u2028", "\u202e", "\ud800", "é", "{0.__class__}", "{username:>200000000}", "{{7*7}}",
    "{% for x in y %}", "{{ request.__class__ }}", "%s", "%n", "%(message)s", "%%", "%j", "%00",
    "<script>alert(1)</script>", "]]>", "--uid=0", " -p x", "=", ",", ":", "+", "&", "*", "?", "[1-9]", "!", "~",
    "~root", "..", "../../etc/passwd", "EOF", "#", " ", "\t", "a", "0", "/",
)
NAMES = ("normal", "geo", "_x", "7", "a.b+c@d:e/f=g-h", "R7", "A" * 128)
WORDS = ("a100", "himem", "a.b_c-d", "7")
COUNTS = (1, 2, "3", "8")
PATHS = ("/scratch/$(id)", "~/a b", "~", "/{0.__class__}", "/{{7*7}}", "/%s", "~/{username}", "/a'b\"c", "/`id`",
         "/a;id", "~/$HOME", "/\u2028", "/../../etc", "/--uid=0", "/#x", "/*", "/a\\b", "/é")
GOOD = {
    **dict.fromkeys(("queue", "account", "qos", "reservation"), NAMES),
    **dict.fromkeys(("node_type", "gpu_type"), WORDS),
    **dict.fromkeys(("nodes", "cores", "gpus", "dask_workers_per_node", "dask_threads_per_worker",
                     "ipyparallel_engines_per_node"), COUNTS),
    "profile": ("small", ""), "memory": ("16G", "1.5 TiB", 512), "walltime": ("4h", 90, "1-00:00:00"),
    "environment": ("test", "module:python/3.11 a.b", *PATHS), "interface": ("lab", "notebook"), "working_dir": PATHS,
    "dask": (True, "on", False), "ipyparallel": (True, "off"),
}
STRANGE = (None, True, 0, -1, 1.5, 10 ** 30, float("inf"), [], ["x"], {}, {"a": {"b": []}}, "x" * 10000, "9" * 5000,
           "1e309", "٣", "0x10", "-1", "99:99:99:99", "1G\n1G", "1 parsec")
KEYS = ("cmd", "req_prologue", "prologue", "__class__", "environment.path", "queue\n", "", "{0}", "%s", "batch_system",
        "user_options", "name", "x" * 5000, "é")
# Of the files of a session's directory those that the Hub may write.
FILES = {"environment.sh", "plan.json", "tls.pem", "job.sh"}
ENVIRONMENT = {"JUPYTERHUB_API_TOKEN": "t" * 32, "JUPYTERHUB_USER": "alice"}
_PLACE = re.compile(r"PLACE\d+X")


def text(random):
    return "".join(random.choice(SHARDS) for _ in range(random.randint(1, 4)))


def value(random, field):
    """Mostly good, so that much of a request comes through."""
    kind = random.randint(0, 11)
    if kind == 0:
        return text(random)
    if kind == 1:
        return random.choice(STRANGE)
    if kind == 2 and field in ("working_dir", "environment"):
        return random.choice(("/", "~/", "module:")) + text(random)
    return random.choice(GOOD[field])


def request(random):
    """What a body, a form or the database may hold."""
    if random.randint(0, 99) == 0:
        return random.choice((*STRANGE, text(random), [{}]))
    fields = [random.choice(sorted(GOOD)) for _ in range(random.randint(1, 6))]
    made = {field: value(random, field) for field in fields}
    if random.randint(0, 14) == 0:
        made[random.choice((*KEYS, text(random)))] = random.choice((*STRANGE, text(random)))
    return made


def form_data(random):
    """The same as a form or a link sends it: texts only, each field any number of times."""
    made = request(random)
    fields = made if isinstance(made, dict) else {"queue": made}
    return {key: [str(each).encode(errors="replace").decode() for each in [found] * random.choice((1, 1, 1, 2))]
            for key, found in fields.items()}


def site(directory, system="slurm", root="/home/{username}/s"):
    """A spawner without a Hub of a site that lets much through."""
    config = directory / f"jupyterhub_config-{system}.py"
    config.write_text(SITE.format(system=system, settings=SYSTEMS[system], root=root))
    spawner = make_spawner(str(config), "alice")
    spawner.get_env, spawner.get_args = ENVIRONMENT.copy, list
    return spawner


def strays(spawner, options):
    """What the job of these options would hold that they did not ask for; nothing, as it should be.

    Held against the job of the same request with harmless words in place of its texts: every text must come back as
    the one word that it was, where the harmless word is, and nowhere else.
    """
    session = spawner.new_session()
    plain, texts = _harmless(options)
    try:
        made, expected = (_job(spawner, each, session) for each in (options, plain))
    except OptionError:  # not of a kind that this batch system takes
        return []
    if set(made) != set(expected) or not set(made) - {"submitted"} <= FILES:
        return [f"files: {sorted(made)}"]
    plan, harmless = (json.loads(each.pop("plan.json")) for each in (made, expected))
    found = [] if plan == _filled(harmless, texts) else [f"plan: {plan}"]
    for name in set(made) - {"tls.pem"}:
        found += stray_lines(made[name], expected[name], texts)
    return found


def _job(spawner, options, session):
    request, submitted, files = spawner.render(options, session)
    files.update(staging.session_files(spawner, options, session, request, spawner.cluster.system))
    return {"submitted": submitted, **files}


def _harmless(options):
    """The request with harmless words for its texts, and the texts by word."""
    texts = {}

    def place(text):
        word = f"PLACE{len(texts)}X"
        texts[word] = text
        return word

    values = {name: place(getattr(options, name)) for name in (
        "queue", "account", "qos", "reservation", "node_type", "gpu_type") if getattr(options, name)}
    for name in ("working_dir", "environment"):
        given = getattr(options, name) or ""
        if given.startswith("module:"):
            values[name] = "module:" + " ".join(place(module) for module in given[7:].split())
        elif "/" in given and given[0] in "/~":
            root, slash, rest = given.partition("/")
            values[name] = root + slash + (place(rest) if rest else "")
    return options.model_copy(update=values), texts


def _filled(plain, texts):
    if isinstance(plain, dict):
        return {key: _filled(each, texts) for key, each in plain.items()}
    if isinstance(plain, list):
        return [_filled(each, texts) for each in plain]
    return _PLACE.sub(lambda found: texts[found[0]], plain) if isinstance(plain, str) else plain


def stray_lines(made, expected, texts):
    """Lines that are not what the harmless ones are, read as the words of a shell or of a directive."""
    lines, plain = made.split("\n"), expected.split("\n")
    if len(lines) != len(plain):
        return [f"{len(lines)} lines and not {len(plain)}"]
    return [line for line, pattern in zip(lines, plain) if line != pattern and not (
        _PLACE.search(pattern) and _words(line) == _filled(_words(pattern), texts) and _bare(line) == _bare(pattern))]


def _words(line):
    try:
        return shlex.split(line)
    except ValueError as error:
        return [str(error)]


def _bare(line):
    """The characters that a shell acts on: those outside single quotes, and of double quotes those that work there."""
    state, found = "", []
    for character in line:
        if character in "'\"" and state in ("", character):
            state = "" if state else character
        elif state != "'" and character in ("$`\\" if state else "$`\\;&|<>(){}*?#!\t "):
            found.append(character)
    return found
