"""Subscribes to the packets of a run with several keys, by pyzmq, and prints one JSON object for each.

The argument is the port of packets; the working folder has the folder `keys`, and `revoked.key_secret`.
"""

import json
import sys
import time

import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

SECONDS = 1.0


def listen(context, endpoint, server, own):
    """Returns how many packets came, and the names of the events of the connection."""
    socket = context.socket(zmq.SUB)
    socket.linger = 0
    if own:
        socket.curve_serverkey = server
        socket.curve_publickey, socket.curve_secretkey = own
    monitor = socket.get_monitor_socket(zmq.EVENT_ALL)
    socket.subscribe(b"main/")
    socket.connect(endpoint)
    heard, events = 0, []
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(monitor, zmq.POLLIN)
    end = time.monotonic() + SECONDS
    while (left := end - time.monotonic()) > 0:
        for ready, _ in poller.poll(int(left * 1000) + 1):
            if ready is monitor:
                events.append(recv_monitor_message(monitor)["event"].name)
            else:
                socket.recv_multipart()
                heard += 1
    socket.disable_monitor()
    socket.close()
    return heard, events


def main():
    endpoint = sys.argv[1]
    context = zmq.Context()
    server, _ = zmq.auth.load_certificate("keys/forwarder.key")
    member = zmq.auth.load_certificate("keys/c1.key_secret")
    unknown = zmq.curve_keypair()
    cases = [
        ("right", server, member),
        ("none", server, None),
        ("wrong server", unknown[0], member),
        ("unknown", server, unknown),
        ("revoked", server, zmq.auth.load_certificate("revoked.key_secret")),
    ]
    for case, expected, own in cases:
        heard, events = listen(context, endpoint, expected, own)
        names = [name.removeprefix("EVENT_") for name in events]
        print(json.dumps({"case": case, "heard": heard, "events": names}))


main()
