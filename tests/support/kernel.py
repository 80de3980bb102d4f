"""A real kernel over the proxy's websocket."""
import json
import uuid

from websockets.sync.client import connect

from .running_hub import request


# For code in a kernel, which says by ``shown()`` what there is to see where what it waits for does not come.
UNTIL = """
import time

def until(condition, patience=90):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, shown()
        time.sleep(0.1)
"""


class KernelError(Exception):
    """The code raised; the text is the traceback."""


def run_code(server_url, token, code, timeout=90, kernel=None):
    """Run the code in a new kernel of the single-user server; what it printed. Raises KernelError.

    ``timeout`` is the longest silence of the kernel, in seconds; ``kernel`` the name of its kernelspec.
    """
    with Kernel(server_url, token, kernel) as running:
        return running.run(code, timeout)


class Kernel:
    """A kernel that several pieces of code run in; the server ends it in its own way."""

    def __init__(self, server_url, token, name=None):
        self.kernels, self.token = f"{server_url}api/kernels", token
        answer = request("POST", self.kernels, {"name": name} if name else {}, token)
        assert answer.status == 201, answer
        self.url = f"{self.kernels}/{answer.json['id']}"

    def run(self, code, timeout=90):
        with connect(self.url.replace("http", "ws", 1) + "/channels", proxy=None, max_size=None,
                     additional_headers={"Authorization": f"token {self.token}"}) as socket:
            return _execute(socket, code, timeout)

    def control(self, kind, content):
        """The content of the kernel's reply on its control channel."""
        with connect(self.url.replace("http", "ws", 1) + "/channels", proxy=None, max_size=None,
                     additional_headers={"Authorization": f"token {self.token}"}) as socket:
            message = _message(kind, content, "control")
            socket.send(json.dumps(message))
            while True:
                reply = json.loads(socket.recv(30))
                if (reply["parent_header"].get("msg_id") == message["header"]["msg_id"]
                        and reply["channel"] == "control"):
                    return reply["content"]

    def restart(self):
        answer = request("POST", f"{self.url}/restart", {}, self.token)
        assert answer.status == 200, answer

    def __enter__(self):
        return self

    def __exit__(self, *error):
        request("DELETE", self.url, None, self.token)


def _execute(socket, code, timeout):
    message = _message("execute_request", {
        "code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False,
        "stop_on_error": True}, "shell")
    socket.send(json.dumps(message))
    printed = []
    while True:
        reply = json.loads(socket.recv(timeout))
        if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            continue
        if reply["msg_type"] == "stream":
            printed.append(reply["content"]["text"])
        elif reply["msg_type"] == "error":
            raise KernelError("\n".join(reply["content"]["traceback"]))
        elif reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
            return "".join(printed)


def _message(kind, content, channel):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "session": uuid.uuid4().hex, "username": "",
              "version": "5.3", "date": ""}
    return {"header": header, "parent_header": {}, "metadata": {}, "channel": channel, "buffers": [],
            "content": content}
