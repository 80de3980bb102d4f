"""How a request comes in: the spawn form, links, REST, saved options; all of them on one road, ``parse_options``."""
import asyncio
import copy

from jupyterhub.utils import maybe_future
from tornado import web
from traitlets import default

from .. import form
from ..errors import ConfigError, OptionErrors
from ..form_data import counted
from ..options import dump_options, parse_options
from ..script import make_templates
from . import offering, pages, private
from .failures import StartFailed, bad_form, bad_options
from .settings import Settings
from .site import make_cluster, make_policy


class Choosing(Settings):
    """What a spawner does before there is a session."""

    user_groups = None
    _overridden = {}

    @default("options_form")
    def _options_form_default(self):
        return Choosing.make_form

    @default("options_from_form")
    def _options_from_form_default(self):
        return self.read_form

    @default("apply_user_options")
    def _apply_user_options_default(self):
        return Choosing.check_options

    @property
    def cluster(self):
        """The Cluster that all spawners of this Hub share."""
        return private.shared(self, "hpc_spawner_cluster", self._make_cluster)

    def _make_cluster(self):
        pages.add_pages(self)
        return make_cluster(self)

    @property
    def policy(self):
        return make_policy(self)

    @property
    def offer(self):
        """What this user may choose, from what is known already."""
        return offering.offer_of(self)

    def parse_options(self, raw):
        """Options under this site's policy and the cluster's limits. Raises OptionErrors."""
        return parse_options(private.unwrap(raw), self.policy, self.offer)

    async def check_options(self, user_options):
        """JupyterHub's hook before a start, for every road: form, REST, saved options. A bad field is a 400."""
        await offering.look(self)
        try:
            return self.parse_options(user_options)
        except OptionErrors as errors:
            raise bad_options(errors) from None
        except ConfigError as error:
            self.log.error("The site's configuration keeps %s from starting: %s", self._log_name, error)
            raise StartFailed(500, f"This site's configuration needs its administrator: {error}") from None

    async def apply_group_overrides(self):
        """JupyterHub's, after what the last call has set is taken back, where nobody has changed it since: a user may
        leave a group while a session goes on, which asks again for each extra job."""
        async with vars(self).setdefault("_groups", asyncio.Lock()):
            await self._apply_group_overrides_anew()

    async def _apply_group_overrides_anew(self):
        for name, (before, after) in self._overridden.items():
            if getattr(self, name) == after:
                setattr(self, name, before)
        overrides = self.group_overrides
        if callable(overrides):
            overrides = await maybe_future(overrides(self))
        names = {name for each in overrides.values() for name in each.get("spawner_override", ())}
        before = {name: _copied(getattr(self, name)) for name in names if self.has_trait(name)}
        await super().apply_group_overrides()
        self._overridden = {name: (value, _copied(getattr(self, name))) for name, value in before.items()}

    def check_number(self):
        """StartFailed where the user has as many sessions as the site allows."""
        others = [spawner.name or "the default server" for spawner in self.user.spawners.values() if spawner is not self
                  and getattr(spawner, "session", None) and not spawner.session.over]
        if 0 < self.max_sessions <= len(others):
            raise private.keep_failure(self, StartFailed(
                400, f"You have {len(others)} sessions already ({', '.join(others)}); at most {self.max_sessions} at a "
                     "time here. Stop one of them first.", advice=("Stop one of your sessions, then try again.",
                                                                   "again")))

    async def make_form(self):
        """The spawn form: last values, or a link's, or what was just refused with the reasons beside the fields."""
        await self.apply_group_overrides()
        await offering.look(self)
        templates = make_templates(self.template_paths)
        try:
            values, errors, source = offering.filled_in(self)
            return pages.last_time(self, templates) + form.render(
                templates, self.policy, self.offer, values, errors, *pages.form_addresses(self), source)
        except ConfigError as error:
            self.log.error("The site's configuration keeps %s from the form: %s", self._log_name, error)
            raise StartFailed(500, f"This site's configuration needs its administrator: {error}") from None

    def read_form(self, form_data):
        """Form data to the vocabulary. Bad values are a 400; the form then comes back with all that was typed."""
        values = counted(form.read(form_data))
        private.keep_typed(self, values)
        try:
            return dump_options(self.parse_options(values))
        except OptionErrors as errors:
            private.refuse(self, {error.field: error.message for error in errors.errors})
            raise bad_form(errors) from None

    async def create_certs(self):
        """None now: each session has its own in its directory, see ``certificates.py``."""
        return {}

    async def run_auth_state_hook(self, auth_state):
        """JupyterHub's last public call before it starts a server for whoever followed a link with options in it.

        A link never starts a job: what it says is taken out of the request and fills in the form.
        """
        private.take_link(self)
        await super().run_auth_state_hook(auth_state)

    def options_from_query(self, query_data):
        """Never reached by a link, see above; whatever else may come here starts nothing either."""
        raise web.HTTPError(400, "Options in a link only fill in the form")


def _copied(value):
    """JupyterHub changes dictionaries in place; what else a setting may hold, such as a hook, is nobody's to copy."""
    return copy.deepcopy(value) if isinstance(value, (dict, list, set)) else value
