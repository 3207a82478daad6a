"""
Mitogen's side of the benchmarks: one command per line on stdin, one line of seconds (or bytes) on stdout.

    calls 2000           no-op calls one after the other, to a local child
    pipelined 5000       the same, all sent before the first answer is read
    nested 10 200        no-op calls through 10 local children in a row
    start                local() and the first call
    ssh HOST PORT USER IDENTITY CONFIG
                         ssh() and the first call
    parallel 50          50 local() at once, and the first call on each
    blob 127             a no-op call with an argument of 127 MiB
    file PATH TARGET     the child gets a file from the FileService of this process
    checked_file PATH TARGET
                         the same, with SHA-256 at both ends, and on the disk at the end
"""

import hashlib
import os
import sys
import threading
import time

import mitogen.core
import mitogen.master
import mitogen.service
import mitogen.utils

PYTHON = "/usr/bin/python3"


def noop(*args):
    pass


def fetch(context, path, target):
    with open(target, "wb") as sink:
        ok, metadata = mitogen.service.FileService.get(context, path, sink)
    if not ok:
        raise RuntimeError("the transfer failed")


class HashingSink:
    def __init__(self, sink):
        self.sink = sink
        self.hash = hashlib.sha256()

    def write(self, data):
        self.hash.update(data)
        self.sink.write(data)


def fetch_checked(context, path, target):
    with open(target, "wb") as sink:
        hashing = HashingSink(sink)
        ok, metadata = mitogen.service.FileService.get(context, path, hashing)
        sink.flush()
        os.fsync(sink.fileno())
    if not ok:
        raise RuntimeError("the transfer failed")
    return hashing.hash.hexdigest()


def hash_of(path):
    found = hashlib.sha256()
    with open(path, "rb") as source:
        for chunk in iter(lambda: source.read(1 << 20), b""):
            found.update(chunk)
    return found.hexdigest()


class Peer:
    def __init__(self, router):
        self.router = router
        self.files = None
        self.child = None
        self.chain = None

    def local(self, **kwargs):
        return self.router.local(python_path=PYTHON, connect_timeout=120, **kwargs)

    def warm_child(self):
        if self.child is None:
            self.child = self.local()
            self.child.call(noop)
        return self.child

    def calls(self, count):
        child = self.warm_child()
        return timed(lambda: [child.call(noop) for _ in range(int(count))])

    def pipelined(self, count):
        child = self.warm_child()

        def work():
            for receiver in [child.call_async(noop) for _ in range(int(count))]:
                receiver.get().unpickle()

        return timed(work)

    def nested(self, depth, count):
        if self.chain is None:
            for _ in range(int(depth)):
                self.chain = self.local(via=self.chain)
            self.chain.call(noop)
        return timed(lambda: [self.chain.call(noop) for _ in range(int(count))])

    def start(self):
        return self.connected(self.local)

    def ssh(self, host, port, user, identity, config):
        return self.connected(
            lambda: self.router.ssh(
                hostname=host,
                port=int(port),
                username=user,
                identity_file=identity,
                ssh_args=["-F", config],
                python_path=PYTHON,
                connect_timeout=60,
            )
        )

    def connected(self, connect):
        made = []

        def work():
            made.append(connect())
            made[0].call(noop)

        seconds = timed(work)
        made[0].shutdown(wait=True)
        return seconds

    def parallel(self, count):
        made = []

        def connect():
            context = self.local()
            context.call(noop)
            made.append(context)

        def work():
            threads = [threading.Thread(target=connect) for _ in range(int(count))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        seconds = timed(work)
        if len(made) != int(count):
            raise RuntimeError("%d of %s children started" % (len(made), count))
        for context in made:
            context.shutdown(wait=True)
        return seconds

    def blob(self, mebibytes):
        child = self.warm_child()
        data = mitogen.core.Blob(bytes(int(mebibytes) << 20))
        return timed(lambda: child.call(noop, data))

    def file(self, path, target):
        child = self.child_with_files(path)
        return timed(lambda: child.call(fetch, self.router.myself(), path, target))

    def checked_file(self, path, target):
        child = self.child_with_files(path)

        def work():
            receiver = child.call_async(fetch_checked, self.router.myself(), path, target)
            ours = hash_of(path)
            if receiver.get().unpickle() != ours:
                raise RuntimeError("the copy differs")

        return timed(work)

    def child_with_files(self, path):
        child = self.warm_child()
        if self.files is None:
            self.files = mitogen.service.FileService(self.router)
            self.pool = mitogen.service.Pool(self.router, services=[self.files])
            self.files.register(path)
        return child


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(router):
    peer = Peer(router)
    print("ready", flush=True)
    for line in iter(sys.stdin.readline, ""):
        command, *words = line.rstrip("\n").split("\t")
        try:
            print(getattr(peer, command)(*words), flush=True)
        except Exception as error:
            print("error %s: %s" % (type(error).__name__, str(error).replace("\n", " ")), flush=True)


if __name__ == "__main__":
    mitogen.utils.run_with_router(main)
