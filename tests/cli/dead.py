"""A file system that is dead, for tests."""

import ctypes
import os
import select
import struct
import threading
import unittest
from contextlib import contextmanager

CLONE_NEWNS = 0x20000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 2, 4, 0x4000, 1 << 18
MNT_DETACH = 2
FUSE_INIT = 26

LIBC = ctypes.CDLL(None, use_errno=True)


def need(result):
    if result != 0:
        raise unittest.SkipTest(f"no mounts of our own: {os.strerror(ctypes.get_errno())}")


def welcome(fuse):
    """Answers the first request (linux/fuse.h); without that the others wait where a signal may end them."""
    opcode, unique = struct.unpack_from("=4xIQ", os.read(fuse, 8192))
    assert opcode == FUSE_INIT
    answer = struct.pack("=IIIIHHII36x", 7, 31, 0, 0, 0, 0, 4096, 0)
    os.write(fuse, struct.pack("=IiQ", 16 + len(answer), 0, unique) + answer)


def take_all(fuse, stop):
    while not select.select([fuse, stop], [], [])[0] == [stop]:
        try:
            os.read(fuse, 8192)
        except OSError:  # a request was taken back
            pass


@contextmanager
def dead_file_system(path):
    """One on which all who ask it for something wait in the kernel, where not even SIGKILL ends that. Only for this
    process and those that it makes from now on: it gets mounts of its own."""
    need(LIBC.unshare(CLONE_NEWNS))
    need(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    try:
        fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise unittest.SkipTest(f"no FUSE: {error}") from None
    place, options = os.fsencode(path), f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
    need(LIBC.mount(b"dead", place, b"fuse", MS_NOSUID | MS_NODEV, options.encode()))
    stop, stopping = os.pipe()
    server = threading.Thread(target=take_all, args=(fuse, stop))
    try:
        select.select([fuse], [], [], 10)
        welcome(fuse)
        server.start()
        yield
    finally:
        os.close(stopping)
        if server.is_alive():
            server.join()
        os.close(stop)
        os.close(fuse)  # now the kernel answers in its place, with errors
        LIBC.umount2(place, MNT_DETACH)
