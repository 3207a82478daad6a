"""
measured.py COMMAND [ARGUMENT…]: runs the command and writes what it took to descriptor 3, as JSON:

    ms      wall time until the command itself had ended
    cpu     CPU milliseconds of the command and of every process it started, those that outlived it too

Exits like the command. What is still running a minute after the command began ends this, too.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
LIMIT_SECONDS = 60


def main(command):
    # What the command leaves behind becomes a child of this process instead of init's, so that its time counts.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.alarm(LIMIT_SECONDS)
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_CLOSE, 3)])
    _, status = os.waitpid(pid, 0)
    ms = (time.perf_counter() - start) * 1000
    wait_for_the_rest()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    os.write(3, json.dumps({"ms": ms, "cpu": (usage.ru_utime + usage.ru_stime) * 1000}).encode())
    return os.waitstatus_to_exitcode(status)


def wait_for_the_rest():
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
