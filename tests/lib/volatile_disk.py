"""A disk that loses what was not flushed: an NBD server with a volatile write cache before an image file.

The kernel's block layer may count on no more than this: a write that was answered is there after a power loss only if a
flush that was asked for afterwards was answered too. Whatever else is in the cache may be lost or not, each block for itself
and in any order. The protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

import os
import socket
import struct
import threading
from dataclasses import dataclass

BLOCK = 4096  # what a disk of today writes whole or not at all

# What is lost of the cache: all, nothing, what was written late, or any of it.
MANNERS = ("all", "none", "late", "some")

FIXED_NEWSTYLE = 1
OPTION_ABORT, OPTION_GO = 2, 7
REPLY_ACK, REPLY_INFO, REPLY_UNSUPPORTED = 1, 3, 0x80000001
HAS_FLAGS, SEND_FLUSH = 1, 4
READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
INVALID = 22


@dataclass(frozen=True)
class Loss:
    """What a cut did to the cache."""

    manner: str  # one of MANNERS
    unflushed: int  # blocks
    lost: int  # of these: not, or not in their last version, on the disk


class VolatileDisk:
    def __init__(self, image, path, random, on_cut):
        """Serves the image file at the Unix socket `path`. `on_cut` is called once, by some thread, when the power is cut."""
        self._image = os.open(image, os.O_RDWR)
        self._size = os.fstat(self._image).st_size
        self._random = random
        self._on_cut = on_cut
        self._lock = threading.Lock()
        self._pending = {}  # block -> its versions since the last flush, as (number of the write, content)
        self._writes = 0
        self._countdown = None
        self.loss = None  # when cut
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._connection = None
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    def close(self):
        for each in (self._connection, self._listening):
            if each:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the other side was first
        self._server.join()
        self._listening.close()
        os.close(self._image)

    def cut(self):
        """The power goes now."""
        with self._lock:
            self._cut()

    def cut_at_request(self, number):
        """The power goes at the so-manieth write or flush from now, before it is done or before it is answered; None: it does not."""
        with self._lock:
            self._countdown = number

    def _cut(self):
        if self.loss:
            return
        manner = self._random.choice(MANNERS)
        share = self._random.random()
        first = min((versions[0][0] for versions in self._pending.values()), default=self._writes)
        last_kept = first + share * (self._writes - first)
        lost = 0
        for block, versions in self._pending.items():
            kept = self._survivor(manner, share, last_kept, versions)
            if kept is not None:
                os.pwrite(self._image, kept, block * BLOCK)
            lost += kept is not versions[-1][1]
        self.loss = Loss(manner, len(self._pending), lost)
        self._pending = {}
        self._on_cut()

    def _survivor(self, manner, share, last_kept, versions):
        if manner == "all":
            return None
        if manner == "none":
            return versions[-1][1]
        if manner == "late":
            before = [content for number, content in versions if number <= last_kept]
            return before[-1] if before else None
        return self._random.choice(versions)[1] if self._random.random() < share else None

    def _serve(self):
        try:
            self._connection, _ = self._listening.accept()
            self._negotiate()
            while self._answer():
                pass
        except (OSError, EOFError):
            pass  # the machine has ended, or the disk is closed

    def _receive(self, size):
        data = bytearray()
        while len(data) < size:
            more = self._connection.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def _negotiate(self):
        self._connection.sendall(struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", FIXED_NEWSTYLE))
        self._receive(4)
        while True:
            _, option, size = struct.unpack(">8sII", self._receive(16))
            self._receive(size)
            if option == OPTION_GO:
                self._reply(option, REPLY_INFO, struct.pack(">HQH", 0, self._size, HAS_FLAGS | SEND_FLUSH))
                return self._reply(option, REPLY_ACK)
            self._reply(option, REPLY_ACK if option == OPTION_ABORT else REPLY_UNSUPPORTED)

    def _reply(self, option, kind, data=b""):
        self._connection.sendall(struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data)

    def _answer(self):
        _, _, kind, handle, offset, size = struct.unpack(">IHHQQI", self._receive(28))
        if kind == DISCONNECT:
            return False
        data = self._receive(size) if kind == WRITE else b""
        error = 0
        with self._lock:
            if self.loss:
                return False  # unanswered: the machine is not to see an error, but nothing any more
            ends = False
            if kind in (WRITE, FLUSH) and self._countdown is not None:
                self._countdown -= 1
                ends = self._countdown <= 0
            if ends and self._random.random() < 0.5:
                self._cut()
                return False
            if kind == READ:
                data = self._read(offset, size)
            elif kind == WRITE:
                self._write(offset, data)
                data = b""
            elif kind == FLUSH:
                self._flush()
            else:
                error = INVALID
            if ends:
                self._cut()
                return False
        self._connection.sendall(struct.pack(">IIQ", 0x67446698, error, handle) + data)
        return True

    def _read(self, offset, size):
        data = bytearray(os.pread(self._image, size, offset))
        first, last = offset // BLOCK, (offset + size - 1) // BLOCK
        for block in range(first, last + 1) if self._pending else ():
            if block in self._pending:
                begin, end = max(offset, block * BLOCK), min(offset + size, (block + 1) * BLOCK)
                content = self._pending[block][-1][1]
                data[begin - offset:end - offset] = content[begin - block * BLOCK:end - block * BLOCK]
        return bytes(data)

    def _write(self, offset, data):
        self._writes += 1
        position = 0
        while position < len(data):
            block, within = divmod(offset + position, BLOCK)
            part = data[position:position + BLOCK - within]
            if len(part) < BLOCK:
                whole = self._read(block * BLOCK, BLOCK)
                part = whole[:within] + part + whole[within + len(part):]
            self._pending.setdefault(block, []).append((self._writes, part))
            position += BLOCK - within

    def _flush(self):
        for block, versions in self._pending.items():
            os.pwrite(self._image, versions[-1][1], block * BLOCK)
        self._pending = {}
