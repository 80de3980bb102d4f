"""``who_is.py NAME [groups]``: what this machine's directory of users says of somebody, as JSON; null of a stranger.

A program of its own: the directory may be elsewhere and hang, and what hangs here can be ended. A thread of the Hub
could not, and os.getgrouplist stops all threads of its process meanwhile. Standard library only.
"""
import grp
import json
import os
import pwd
import sys


def account(name):
    user = pwd.getpwnam(name)
    return {"uid": user.pw_uid, "gid": user.pw_gid, "home": user.pw_dir, "shell": user.pw_shell,
            "groups": os.getgrouplist(name, user.pw_gid)}


def groups(name):
    """Their names; of a group without one its number."""
    return [_group_name(number) for number in account(name)["groups"]]


def _group_name(number):
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


if __name__ == "__main__":
    try:
        print(json.dumps((groups if sys.argv[2:] else account)(sys.argv[1])))
    except KeyError:
        print("null")
