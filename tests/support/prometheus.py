"""What Prometheus would store of a Hub."""
from prometheus_client.parser import text_string_to_metric_families

from .running_hub import TOKEN, request

PREFIX = "jupyterhub_hpc_"


def samples(hub):
    """Value by name and labels."""
    text = request("GET", f"{hub.url}/hub/metrics", None, TOKEN).body.decode()
    return {(sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


class Watch:
    """What the Hub's counters have gained since."""

    def __init__(self, hub):
        self.hub = hub
        self.before = samples(hub)

    def gained(self, name, *labels):
        return samples(self.hub)[PREFIX + name, *labels] - self.before[PREFIX + name, *labels]
