# SPDX-License-Identifier: GPL-2.0-only
"""The virtual wire between emulated nodes: a hub on a UNIX stream socket.

Each node's QEMU connects (-netdev stream) and says which node it is by the
socket's name. Orders come as lines through a FIFO, so that a scenario gives
them with echo:
  cut N [N...]     what these nodes send and would receive is lost
  heal             nothing is cut any more
  delay MS         every frame takes this much longer
  drop PERCENT     so many frames are lost
All frames that are let through are written to a pcap file.
"""
import errno
import heapq
import os
import random
import selectors
import socket
import struct
import threading
import time


class Port:
    """One node's end."""

    def __init__(self, node, connection):
        self.node = node
        self.connection = connection
        self.incoming = b""
        self.outgoing = b""


class Wire:
    """A thread that forwards; lives from start() to stop()."""

    MAX_BACKLOG = 8 << 20  # of one node: a frozen one loses frames, as on a real wire

    def __init__(self, folder, nodes):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.selector = selectors.DefaultSelector()
        self.ports = {}
        self.cut = set()
        self.delay = 0.0
        self.drop = 0.0
        self.waiting = []  # (when, number, sender, frame)
        self.number = 0
        self.random = random.Random(1)
        self.frames = 0
        self.running = True
        self.listeners = []
        for node in nodes:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(self.address(node))
            listener.listen(1)
            self.listeners.append(listener)
            self.selector.register(listener, selectors.EVENT_READ, ("accept", node))
        self.orders_path = os.path.join(folder, "wire")
        os.mkfifo(self.orders_path)
        self.orders = os.open(self.orders_path, os.O_RDWR | os.O_NONBLOCK)
        self.selector.register(self.orders, selectors.EVENT_READ, ("orders", None))
        self.pcap = open(os.path.join(folder, "wire.pcap"), "wb")  # pylint: disable=consider-using-with
        self.pcap.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        self.thread = threading.Thread(target=self._loop, daemon=True)

    def address(self, node):
        return os.path.join(self.folder, f"wire{node}.sock")

    def start(self):
        self.thread.start()

    def stop(self):
        self.running = False
        self.thread.join(5)
        self.pcap.close()
        os.close(self.orders)
        for listener in self.listeners:
            listener.close()

    def _loop(self):
        while self.running:
            pause = 0.2
            if self.waiting:
                pause = min(pause, max(0, self.waiting[0][0] - time.monotonic()))
            for key, events in self.selector.select(pause):
                kind, node = key.data
                if kind == "accept":
                    self._accept(key.fileobj, node)
                elif kind == "orders":
                    for line in os.read(self.orders, 4096).decode().splitlines():
                        self._order(line.split())
                else:
                    self._ready(self.ports.get(node), events)
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                _, _, sender, frame = heapq.heappop(self.waiting)
                self._forward(sender, frame)

    def _accept(self, listener, node):
        connection, _ = listener.accept()
        connection.setblocking(False)
        if node in self.ports:  # the emulator of this node was started again
            self._close(self.ports[node])
        self.ports[node] = Port(node, connection)
        self.selector.register(connection, selectors.EVENT_READ, ("port", node))

    def _close(self, port):
        self.selector.unregister(port.connection)
        port.connection.close()
        self.ports.pop(port.node, None)

    def _ready(self, port, events):
        if not port:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(port)
            if events & selectors.EVENT_READ:
                data = port.connection.recv(1 << 18)
                if not data:
                    return self._close(port)
                self._take(port, data)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                self._close(port)

    def _take(self, port, data):
        port.incoming += data
        while len(port.incoming) >= 4:
            length = struct.unpack_from("!I", port.incoming)[0]
            if len(port.incoming) < 4 + length:
                return
            frame = port.incoming[4:4 + length]
            port.incoming = port.incoming[4 + length:]
            if port.node in self.cut or self.random.random() < self.drop:
                continue
            if self.delay:
                self.number += 1
                heapq.heappush(self.waiting, (time.monotonic() + self.delay, self.number, port.node, frame))
            else:
                self._forward(port.node, frame)

    def _forward(self, sender, frame):
        if sender in self.cut:
            return
        self.frames += 1
        now = time.time()
        self.pcap.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(frame), len(frame)) + frame)
        for node, port in list(self.ports.items()):
            if node == sender or node in self.cut or len(port.outgoing) > self.MAX_BACKLOG:
                continue
            port.outgoing += struct.pack("!I", len(frame)) + frame
            try:
                self._flush(port)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EINTR):
                    self._close(port)

    def _flush(self, port):
        if port.outgoing:
            try:
                sent = port.connection.send(port.outgoing)
                port.outgoing = port.outgoing[sent:]
            except BlockingIOError:
                pass
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if port.outgoing else 0)
        self.selector.modify(port.connection, events, ("port", port.node))

    def _order(self, words):
        if not words:
            return
        if words[0] == "cut":
            self.cut = {int(word) for word in words[1:]}
        elif words[0] == "heal":
            self.cut = set()
        elif words[0] == "delay":
            self.delay = float(words[1]) / 1000
        elif words[0] == "drop":
            self.drop = float(words[1]) / 100
