"""A spawner without a Hub, from a site's configuration file: for the commands that look at one."""
from types import SimpleNamespace

from jupyterhub.app import JupyterHub

from .spawner import HPCSpawner


def make_spawner(config_file, username, groups=()):
    """The HPCSpawner that this configuration gives the user; it cannot start anything."""
    app = JupyterHub()
    app.config_file = config_file
    app.load_config_file(config_file)
    cls = app.spawner_class if issubclass(app.spawner_class, HPCSpawner) else HPCSpawner
    spawner = cls(config=app.config, parent=app)
    spawner.user = SimpleNamespace(name=username, settings={},
                                   groups=[SimpleNamespace(name=group) for group in groups])
    return spawner


def know_hub(spawner):
    """From now on the spawner knows the Hub's addresses, and so what it would tell a session."""
    assert spawner.cluster  # made before there is a Hub, whose pages it would change
    spawner.parent.init_hub()
    spawner.hub = spawner.parent.hub
    spawner.user.url = f"{spawner.hub.base_url[:-len('hub/')]}user/{spawner.user.name}/"
