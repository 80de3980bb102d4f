"""What only Slurm does."""
ONLY = ("slurm",)


def test_a_job_that_can_never_start_says_so(idle):
    """The limit changed after the form last looked: Slurm takes such a job and lets it wait for ever."""
    assert idle.spawn("alice", {"account": "nope"})[-1]["failed"]  # the cluster's limits are known now
    idle.cluster.admin("scontrol", "update", "partitionname=debug", "maxtime=1")
    try:
        idle.api("POST", "/users/alice/server", {"user_options": {"queue": "debug", "walltime": "20m"}})
        events = idle.progress("alice", until=lambda event: "PartitionTimeLimit" in event["message"])
        assert "never start as it stands: the walltime is longer than this queue allows" in events[-1]["message"]
        idle.stop_server("alice")
    finally:
        idle.cluster.admin("scontrol", "update", "partitionname=debug", "maxtime=30")
    idle.assert_nothing_left("alice")
