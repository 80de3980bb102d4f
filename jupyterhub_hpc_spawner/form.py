"""The spawn form: schema, cluster, last values and errors in, HTML out; and form data back to the vocabulary."""
from dataclasses import dataclass

from .errors import HPCSpawnerError
from .form_data import rules
from .limits import most_generous, write
from .options import Options, parse_options
from .outlook import balance, brief, summary

SECTIONS = {"where": "Where it runs", "resources": "Resources", "software": "Software",
            "parallel": "Parallel computing"}


@dataclass(frozen=True)
class Preset:
    """A card: a site's profile, or with no name what is filled in below. ``outlook`` are lines on its cost and wait."""

    name: str
    title: str
    description: str
    facts: str
    outlook: tuple
    chosen: bool = False


@dataclass(frozen=True)
class Theme:
    """A group of fields. One that ``folds`` is folded by the script: without it, browsers would refuse a wrong number
    in a folded group and show nobody why."""

    title: str
    controls: tuple
    folds: bool = False


@dataclass(frozen=True)
class Control:
    """One field as the template draws it. ``kind`` is select, number, text or checkbox; ``choices`` are
    (value, text) pairs; ``suggestions`` leave room for something else."""

    name: str
    label: str
    help: str
    section: str
    kind: str
    value: str = ""
    error: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[tuple[str, str], ...] = ()
    placeholder: str = ""
    minimum: int = 0
    maximum: int | None = None


def read(form_data):
    """Form data (lists of text by key) to the vocabulary's keys; what was left empty is left out."""
    return {key: values[-1] for key, values in form_data.items()
            if values and isinstance(values[-1], str) and values[-1].strip() and key != "_xsrf"}


def render(templates, policy, info, user, values, errors, static=None, preview=""):
    """The HTML of the form. ``values`` are anything by field, ``errors`` messages by field.

    ``static(name)`` is the address of a file of ours, ``preview`` that of the check before the start.
    """
    controls = list(_controls(policy, info, user, values, errors))
    presets = _presets(policy, info, user, values)
    shown = {control.name for control in controls} | ({"profile"} if presets else set())
    return templates.get_template("form/form.html.j2").render(
        presets=presets, preset_error=errors.get("profile", ""), themes=_themes(controls, bool(presets)),
        other_errors={name: text for name, text in errors.items() if name not in shown},
        first_error=next((control.name for control in controls if control.error), None),
        rules=rules(policy, info), static=static, preview=preview,
    )


def _presets(policy, info, user, values):
    """Cards: first what was chosen last time, or an empty form; then the site's profiles. () where it has none."""
    if not policy.profiles:
        return ()
    chosen = values.get("profile")
    chosen = chosen if chosen in policy.profiles else ""
    last = Preset("", "As last time" if values else "My own choice", "", summary(values) if values else
                  "Fill in what you need below.", _outlook(values, policy, info, user) if values else (), chosen == "")
    return (last, *(Preset(name, profile.display_name or name, profile.description,
                           summary({**policy.defaults, **profile.options}),
                           _outlook({"profile": name}, policy, info, user), name == chosen)
                    for name, profile in policy.profiles.items()))


def _outlook(values, policy, info, user):
    """What a card says of its request; nothing where that would be refused as it stands."""
    try:
        return brief(parse_options(values, policy, info, user), info)
    except HPCSpawnerError:
        return ()


def _themes(controls, folds):
    for key, title in SECTIONS.items():
        members = tuple(control for control in controls if control.section == key)
        if members:
            yield Theme(title, members, folds and not any(control.error for control in members))


def _controls(policy, info, user, values, errors):
    choices = _choices(policy, info, user)
    # A queue may still be chosen: these are the most generous one's.
    most = most_generous(policy, info)
    for name, declared in Options.model_fields.items():
        if name in policy.unsupported or name not in choices:
            continue
        kind, offered = choices[name]
        value = values.get(name, policy.defaults.get(name, ""))
        help_text = declared.description or ""
        if name in most and kind != "number":
            help_text = f"{help_text} At most {write(name, most[name])}.".strip()
        yield Control(
            name=name, label=declared.title, help=help_text, section=declared.json_schema_extra["section"], kind=kind,
            value=_shown(value, kind), error=errors.get(name, ""),
            choices=_with_value(offered, value) if kind == "select" else (),
            suggestions=offered if kind == "text" else (),
            placeholder=str(declared.default) if kind == "number" and declared.default else "",
            minimum=0 if name == "gpus" else 1, maximum=most.get(name) if kind == "number" else None,
        )


def _shown(value, kind):
    if kind == "checkbox":
        return "on" if str(value).lower() in ("true", "on", "1", "yes") else ""
    return str(value) if isinstance(value, (str, int)) else ""


def _with_value(offered, value):
    """A saved choice that is no longer offered stays visible, so that its error makes sense."""
    if value and isinstance(value, str) and value not in dict(offered):
        return (*offered, (value, f"{value} (not available)"))
    return offered


def _choices(policy, info, user):
    """Kind and choices of every field that this site's form shows."""
    fields = {name: ("number", ()) for name in
              ("nodes", "cores", "dask_workers_per_node", "dask_threads_per_worker", "ipyparallel_engines_per_node")}
    fields.update({name: ("text", ()) for name in ("memory", "walltime", "working_dir")})
    fields.update({name: ("checkbox", ()) for name in ("dask", "ipyparallel")})
    fields["interface"] = _select(((name, name) for name in policy.interfaces), "the default one")
    if policy.custom_environment:
        fields["environment"] = ("text", _described(policy.environments))
    elif policy.environments:
        fields["environment"] = ("select", _described(policy.environments))
    fields.update(_cluster_choices(info, user, policy))
    for name, allowed in policy.allowed.items():
        fields[name] = ("select", tuple((str(value or ""), str(value or "–")) for value in allowed))
    return fields


def _cluster_choices(info, user, policy):
    """Where the cluster told nothing, free text."""
    accounts = info.accounts.get(user, ())
    types = policy.node_types or dict.fromkeys(f for queue in info.queues for f in queue.features)
    gpus = {kind: None for queue in info.queues for kind in queue.gpus}
    fields = {
        "queue": _select(((queue.name, _queue_text(queue)) for queue in info.queues if queue.up),
                         f"{info.queue(None).name}, the default" if info.queue(None) else "the default one"),
        "account": _select(((name, _account_text(info, user, name)) for name in accounts), "your default one"),
        "qos": _select(((name, name) for name in info.qos.get(user, ())), "the default one"),
        "reservation": _select(((r.name, r.name if r.active else f"{r.name} (not active now)")
                                for r in info.reservations if _may_use(r, user, accounts)), "none"),
        "node_type": _select(((name, name) for name in types), "any"),
    }
    if not info.queues:
        return {**{name: field if field[1][1:] else ("text", ()) for name, field in fields.items()},
                "gpus": ("number", ()), "gpu_type": ("text", ())}
    offered = {name: field for name, field in fields.items() if len(field[1]) > 1}
    offered.update({name: ("number" if name == "gpus" else "text", ()) for name in info.untold if name not in offered})
    if gpus:
        kinds = _select(((kind, kind) for kind in gpus if kind), "any")
        offered.update({"gpus": ("number", ()), "gpu_type": kinds if any(gpus) else ("text", ())})
    return {"queue": fields["queue"], **offered}


def _select(choices, blank="–"):
    """``blank`` says what leaving it open means."""
    return "select", (("", blank), *choices)


def _described(environments):
    return tuple((name, environment.description or name) for name, environment in environments.items())


def _queue_text(queue):
    limit = f", up to {write('walltime', queue.max_walltime)}" if queue.max_walltime else ""
    return f"{queue.name} ({queue.idle_nodes} of {queue.total_nodes} nodes idle{limit})"


def _account_text(info, user, account):
    left = balance(info, user, account)
    return f"{account} ({left})" if left else account


def _may_use(reservation, user, accounts):
    if not reservation.users and not reservation.accounts:
        return True
    return user in reservation.users or bool(set(accounts) & set(reservation.accounts))
