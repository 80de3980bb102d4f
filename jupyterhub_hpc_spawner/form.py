"""The spawn form: schema, cluster, last values and errors in, HTML out; and form data back to the vocabulary."""
import json
from dataclasses import dataclass, replace

from .errors import HPCSpawnerError
from .fields import is_on
from .form_data import SHOWN, rules
from .limits import most_generous, write
from .model import Choice
from .node_facts import free_now, node_facts
from .options import Options, parse_options
from .outlook import balance, brief, summary

SECTIONS = {"where": "Where it runs", "resources": "Resources", "software": "Software",
            "parallel": "Parallel computing"}
# The first card, by where its values are from.
FRONT = {"last": "As last time", "link": "As in the link", "typed": "As filled in"}


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

    @property
    def held(self):
        """What the browser sends of it where nobody touches it."""
        offered = [value for value, _ in self.choices]
        return self.value if self.value in offered or not offered else offered[0]


def read(form_data):
    """Form data (lists of text by key) to the vocabulary's keys; what was left empty is left out."""
    return {key: values[-1] for key, values in form_data.items()
            if values and isinstance(values[-1], str) and values[-1].strip() and key != "_xsrf"}


def render(templates, policy, info, values, errors, static=None, preview="", source="last"):
    """The HTML of the form for whom ``info`` is offered; ``values`` are anything by field, ``errors`` are messages.

    ``static(name)`` is the address of a file of ours, ``preview`` that of the check before the start; ``source`` is
    where the values are from, one of ``FRONT``.
    """
    values = _with_preset(policy, values)
    controls = list(_controls(policy, info, values, errors))
    presets = _presets(policy, info, values, FRONT[source])
    shown = {control.name for control in controls} | ({"profile"} if presets else set())
    free, more_queues = free_now(info)
    page = templates.get_template("form/form.html.j2").render(
        presets=presets, preset_error=errors.get("profile", ""), free=free, more_queues=more_queues,
        themes=_themes(controls, bool(presets)),
        other_errors={name: text for name, text in errors.items() if name not in shown},
        first_error=next((control.name for control in controls if control.error), None),
        rules=rules(policy, info), static=static, preview=preview, as_shown=(SHOWN, _as_shown(controls, presets)),
    )
    # JSON may hold halves of characters, and what was once sent is shown again: no page can be made of those.
    return page.encode(errors="replace").decode()


def _with_preset(policy, values):
    """The values, and what their preset fills in where they say nothing: a link may have no more than its name."""
    name = values.get("profile")
    if not isinstance(name, str) or name not in policy.profiles:
        return values
    return {**policy.profiles[name].options, **{key: value for key, value in values.items() if value not in (None, "")}}


def _presets(policy, info, values, front):
    """Cards: first what is filled in, called ``front``, or an empty form; then the site's profiles. () where it has
    none."""
    if not policy.profiles:
        return ()
    chosen = values.get("profile")
    chosen = chosen if isinstance(chosen, str) and chosen in policy.profiles else ""
    last = Preset("", front if values else "My own choice", "", summary(_titled(info, values)) if values else
                  "Fill in what you need below.", _outlook(values, policy, info) if values else (), chosen == "")
    return (last, *(Preset(name, profile.display_name or name, profile.description,
                           summary(_titled(info, {**policy.defaults, **profile.options})),
                           _outlook({"profile": name}, policy, info), name == chosen)
                    for name, profile in policy.profiles.items()))


def _as_shown(controls, presets):
    held = {"profile": next((preset.name for preset in presets if preset.chosen), ""),
            **{control.name: control.held for control in controls}}
    return json.dumps({name: value for name, value in held.items() if value})


def _titled(info, values):
    """Values with the names that the form shows."""
    return {name: info.title(name, value) if name in info.choices else value for name, value in values.items()}


def _outlook(values, policy, info):
    """What a card says of its request; nothing where that would be refused as it stands."""
    try:
        return brief(parse_options(values, policy, info), info)
    except HPCSpawnerError:
        return ()


def _themes(controls, folds):
    for key, title in SECTIONS.items():
        members = tuple(control for control in controls if control.section == key)
        if members:
            yield Theme(title, members, folds and not any(control.error for control in members))


def _controls(policy, info, values, errors):
    choices = _choices(policy, info)
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
            choices=_with_value(offered, value, info.unlisted.get(name, {})) if kind == "select" else (),
            suggestions=offered if kind == "text" else (),
            placeholder=str(declared.default) if kind == "number" and declared.default else "",
            minimum=0 if name == "gpus" else 1, maximum=most.get(name) if kind == "number" else None,
        )


def _shown(value, kind):
    if kind == "checkbox":
        return "on" if is_on(value) else ""
    return str(value) if isinstance(value, (str, int)) else ""


def _with_value(offered, value, unlisted):
    """A saved choice that is no longer offered stays visible, so that its error makes sense."""
    if value and isinstance(value, str) and value not in dict(offered):
        return (*offered, (value, unlisted[value].text if value in unlisted else f"{value} (not available)"))
    return offered


def _choices(policy, info):
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
    fields.update(_cluster_choices(info))
    for name, allowed in policy.allowed.items():
        known = info.choices.get(name, {})
        fields[name] = ("select", tuple((str(value or ""), known[value].text if value in known else str(value or "–"))
                                        for value in allowed))
    return fields


def _cluster_choices(info):
    """Selects of what is offered; where the cluster and the site told nothing, free text."""
    blanks = {"queue": _default_queue(info),
              "account": "your default one", "qos": "the default one", "reservation": "none", "node_type": "any",
              "gpu_type": "any"}
    facts = node_facts(info)
    fields = {name: _select(((value, _text(info, name, value, choice, facts))
                             for value, choice in info.choices[name].items()), None if name in info.first else blank)
              for name, blank in blanks.items() if info.choices.get(name)}
    typed = info.untold if info.queues else (*blanks, "gpus")
    if any(queue.gpus for queue in info.queues):
        typed = (*typed, "gpus", "gpu_type")
    return {**{name: ("number" if name == "gpus" else "text", ()) for name in typed}, **fields}


def _default_queue(info):
    default = info.queue(None)
    if default is None:
        return "the default one"
    facts = info.choices.get("queue", {}).get(default.name, Choice("")).facts
    return Choice(f"{info.title('queue', default.name)}, the default", facts=facts).text


def _select(choices, blank="–"):
    """``blank`` says what leaving it open means; without it one of them must be taken."""
    return "select", ((("", blank),) if blank else ()) + tuple(choices)


def _described(environments):
    return tuple((name, environment.description or name) for name, environment in environments.items())


def _text(info, field, value, choice, facts):
    more = balance(info, info.user, value) if field == "account" else facts.get(field, {}).get(value)
    return replace(choice, facts=more).text if more else choice.text
