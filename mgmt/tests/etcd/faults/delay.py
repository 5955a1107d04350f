"""What a slow network does, without help of the kernel: `delay.py whole DEVICE` lets a device send packets as they are
on the wire, and `delay.py MILLISECONDS ONE OTHER` carries packets between two devices, each one later by that time."""
import collections
import ctypes
import fcntl
import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SIOCETHTOOL = 0x8946
# Checksums that are left to a card, and packets that a card would divide.
OFFLOADS = [0x17, 0x1F, 0x24]


def whole(device):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in OFFLOADS:
            off = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP", device.encode(), ctypes.addressof(off)).ljust(40, b"\0")
            fcntl.ioctl(control, SIOCETHTOOL, request)


def opened(device):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.bind((device, 0))
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    return tap


def carry(pause, one, other):
    one, other = opened(one), opened(other)
    to = {one: other, other: one}
    late = collections.deque()
    print("ready", flush=True)
    while True:
        wait = max(0, late[0][0] - time.monotonic()) if late else None
        for tap in select.select([one, other], [], [], wait)[0]:
            packet, origin = tap.recvfrom(1 << 16)
            if origin[2] != socket.PACKET_OUTGOING:
                late.append((time.monotonic() + pause, to[tap], packet))
        while late and late[0][0] <= time.monotonic():
            _, tap, packet = late.popleft()
            try:
                tap.send(packet)
            except OSError:
                pass  # A network loses packets.


if sys.argv[1] == "whole":
    whole(sys.argv[2])
else:
    carry(int(sys.argv[1]) / 1000, sys.argv[2], sys.argv[3])
