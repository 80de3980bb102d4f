"""A real kernel over the proxy's websocket."""
import json
import uuid

from websockets.sync.client import connect

from .running_hub import request


class KernelError(Exception):
    """The code raised; the text is the traceback."""


def run_code(server_url, token, code, timeout=90, kernel=None):
    """Run the code in a new kernel of the single-user server; what it printed. Raises KernelError.

    ``timeout`` is the longest silence of the kernel, in seconds; ``kernel`` the name of its kernelspec.
    """
    answer = request("POST", f"{server_url}api/kernels", {"name": kernel} if kernel else {}, token)
    assert answer.status == 201, answer
    kernel = answer.json["id"]
    url = server_url.replace("http", "ws", 1) + f"api/kernels/{kernel}/channels"
    try:
        with connect(url, additional_headers={"Authorization": f"token {token}"}, max_size=None, proxy=None) as socket:
            return _execute(socket, code, timeout)
    finally:
        request("DELETE", f"{server_url}api/kernels/{kernel}", None, token)


def _execute(socket, code, timeout):
    message = _execute_request(code)
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


def _execute_request(code):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": uuid.uuid4().hex,
              "username": "", "version": "5.3", "date": ""}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False,
               "stop_on_error": True}
    return {"header": header, "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
            "content": content}
