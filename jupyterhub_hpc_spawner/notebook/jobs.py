"""Extra jobs of this session, through the Hub: submitted as this user, under the limits of the spawn form.

They end with the session at the latest. ``docs/extra-jobs.md`` says what the Hub allows.
"""
import json
import os
import ssl
import sys
import urllib.error
import urllib.request

# The Hub waits for the batch system itself, and for other jobs of the same user that came first.
TIMEOUT = 300


class JobError(RuntimeError):
    """The Hub's own words: refused by the site's policy, by the batch system, or the Hub was not reached."""


class HubUnreachable(JobError):
    """The Hub did not answer; nothing is known of the jobs."""


def submit(runtime, options=None, **settings):
    """Ask for an extra job; its id. ``runtime`` is "dask" or "ipyparallel".

    ``options`` override the session's own: queue, account, qos, reservation, node_type, nodes, cores, memory, gpus,
    gpu_type, walltime; without ``nodes`` it is one. Settings for Dask: ``workers`` (per node, 1), ``threads``,
    ``name`` (the workers are NAME-0, NAME-1 …; with more nodes NAME-NODE-0 …), ``lifetime`` and ``stagger`` in
    seconds. For IPyParallel: ``engines`` (per node).
    """
    return _ask("submit", runtime=runtime, options=options or {}, **settings)["job_id"]


def cancel(job_id):
    """End an extra job. One that is over already is no error."""
    _ask("cancel", job_id=str(job_id))


def jobs():
    """A dict for each extra job: job_id, runtime, name, nodes, state, reason, directory.

    ``state`` is pending, running, suspended, finished or unknown. The last ones that ended are among them, ``reason``
    then holds the end of the log.
    """
    return _ask("list")["jobs"]


def _ask(verb, **fields):
    body = dict({name: value for name, value in fields.items() if value is not None}, **_proof())
    try:
        url = os.environ["JUPYTERHUB_API_URL"].rstrip("/") + "/hpc-spawner/jobs/" + verb
        token = os.environ["JUPYTERHUB_API_TOKEN"]
    except KeyError as error:
        raise JobError("%s is not set: only notebooks and terminals of a session can ask the Hub for jobs" % error)
    headers = {"Authorization": "token " + token, "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with _opener(url).open(request, timeout=TIMEOUT) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise (HubUnreachable if error.code in (502, 504) else JobError)(_words(error)) from None
    except (OSError, ValueError) as error:
        raise HubUnreachable("the Hub at %s cannot be reached: %s" % (url, error)) from None


def _proof():
    try:
        path = os.path.join(os.path.dirname(os.environ["HPC_SESSION_FILE"]), "plan.json")
        with open(path) as file:
            plan = json.load(file)
        return {"session": plan["session"], "secret": plan["secret"]}
    except (KeyError, OSError, ValueError) as error:
        raise JobError("this is not a running session of jupyterhub-hpc-spawner: %s" % error) from None


def _opener(url):
    """No proxy of the environment: the Hub is inside the cluster's network. Its internal certificates, if it has."""
    handlers = [urllib.request.ProxyHandler({})]
    if url.startswith("https:"):
        context = ssl.create_default_context(cafile=os.environ.get("JUPYTERHUB_SSL_CLIENT_CA") or None)
        if os.environ.get("JUPYTERHUB_SSL_CERTFILE"):
            context.load_cert_chain(os.environ["JUPYTERHUB_SSL_CERTFILE"], os.environ["JUPYTERHUB_SSL_KEYFILE"])
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)


def _words(error):
    try:
        message = json.loads(error.read())["message"]
    except (OSError, ValueError, KeyError, TypeError):
        message = ""
    return message or "the Hub answered %s %s" % (error.code, error.reason)


if __name__ == "__main__":  # run by the Dask scheduler, when the notebook that asked for these jobs is gone
    for job in sys.argv[1:]:
        cancel(job)
