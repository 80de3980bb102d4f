"""The connection of a process on another node to the session's launcher: it lives no longer than that.

See ``everywhere.py``. What holds the other end there is gone with the launcher, however that ends.
"""
import json
import os
import signal
import socket
import time

from .processes import die_with_parent

CONNECT_TIMEOUT = 60


def notice_its_death(connection):
    """A node that lost its power closes no connection: ask it now and then."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)


def guard(path):
    """From now on this process ends with the launcher whose orders are in the file, killed if need be.

    A rank's parent is MPI's own program on that node. Where that is killed, as by Grid Engine when its client ends, the
    rank stays: in a session of its own, and maybe in MPI_Init or MPI_Finalize, where no thread of Python gets its turn.
    So another process looks after it. To be called before MPI starts.
    """
    with open(path) as file:
        orders = json.load(file)
    rank = os.getpid()
    if os.fork():
        return
    try:
        _outlive_signals()
        die_with_parent()
        if os.getppid() == rank:
            _hold(orders)
            time.sleep(orders["grace"])  # it is told to end by others, too, and may have something to say
            os.kill(rank, signal.SIGKILL)
    finally:
        os._exit(0)


def _outlive_signals():
    """They come to the whole group, and the rank may be deaf to them."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def _hold(orders):
    """Until the connection ends, or at once where there is none to be had."""
    try:
        with socket.create_connection(orders["lifeline"], CONNECT_TIMEOUT) as connection:
            connection.settimeout(None)
            notice_its_death(connection)
            connection.sendall(orders["key"].encode() + b"\n")
            connection.recv(1)
    except OSError:
        pass
