"""What Grid Engine tells of its queues and hosts, for the form."""
from ..model import ClusterInfo

COMMANDS = {}


def parse(answers, gpu_resource):
    return ClusterInfo()
