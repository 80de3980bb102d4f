"""Addresses and ports of this node."""
import fcntl
import os
import socket
import struct
from urllib.parse import urlsplit


def address_towards(url):
    """This node's IP address on the route to the URL's host; no packet is sent."""
    parts = urlsplit(url)
    family, kind, proto, _, target = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, proto) as probe:
        probe.connect(target)
        return probe.getsockname()[0]


def print_own_address(url):
    """For shell scripts: this node's address, as it stands in a URL."""
    print(bracketed(address_towards(url)))


def bracketed(address):
    """As it stands in a URL: IPv6 addresses in brackets."""
    return "[%s]" % address if ":" in address else address


def interface_of(address):
    """The name of the interface that has this IPv4 address, or None (netdevice(7), SIOCGIFADDR)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, 0x8915, struct.pack("256s", name.encode()))
            except OSError:
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None


def hold_port(address, first=0, last=0):
    """A socket bound to a free port of the address, in the range if there is one; not listening.

    While it is open, the number is ours: a server that sets SO_REUSEADDR (tornado does) can bind it too, and
    nothing else can. OSError where the whole range is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    error = None
    for port in range(first, last + 1) if first else (0,):
        held = socket.socket(family, socket.SOCK_STREAM)
        try:
            held.bind((address, port))
        except OSError as exc:
            held.close()
            error = exc
            continue
        # Only now: a bind that allows sharing would also take a number that another session holds.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return held
    raise OSError("no free port on %s between %s and %s: %s" % (address, first, last, error))


def listens_here(address, port):
    """Whether a process of this very user listens on the port, so that nothing else is taken for our server."""
    return _listener(address, port) == os.getuid()


def _listener(address, port):
    """The uid that listens on the port, or None (proc(5), /proc/net/tcp: state 0A is LISTEN)."""
    wanted = {_proc_address(address), _proc_address("::" if ":" in address else "0.0.0.0")}
    with open("/proc/net/tcp6" if ":" in address else "/proc/net/tcp") as table:
        for line in table:
            fields = line.split()
            host, _, number = fields[1].partition(":")
            if fields[3] == "0A" and host in wanted and int(number, 16) == port:
                return int(fields[7])
    return None


def _proc_address(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    words = struct.unpack("=%dI" % (len(packed) // 4), packed)
    return "".join("%08X" % word for word in words)
