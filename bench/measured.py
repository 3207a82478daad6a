"""
measured.py COMMAND [ARGUMENT…]: runs the command and writes what it took to descriptor 3, as JSON:

    ms      wall time until the command itself had ended
    cpu     CPU milliseconds of the command and of every process it started, those that outlived it too
    rss     MiB of resident memory, at its peak, of the largest of these processes

Exits like the command. Fails if something is still running two minutes after the command began.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
LIMIT_SECONDS = 120


def main(command):
    # What the command leaves behind becomes a child of this process instead of init's, so that its time counts.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    start = time.perf_counter()
    close = [(os.POSIX_SPAWN_CLOSE, 3)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=close, setpgroup=0)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT_SECONDS)
    try:
        _, status = os.waitpid(pid, 0)
        ms = (time.perf_counter() - start) * 1000
        wait_for_the_rest()
    finally:
        end_group(pid)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = {"ms": ms, "cpu": (usage.ru_utime + usage.ru_stime) * 1000, "rss": usage.ru_maxrss / 1024}
    os.write(3, json.dumps(cost).encode())
    return os.waitstatus_to_exitcode(status)


def give_up(*_):
    sys.exit("still running after %d seconds" % LIMIT_SECONDS)


def end_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_for_the_rest():
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
