"""Memory held in socket buffers: data that is sent and never read.

Event: `mebibytes` to hold in all. Answers with how many could be.
"""


def handler(event, context):
    wanted = event["mebibytes"] << 20
    listener = socket.create_server(("127.0.0.1", 0))
    block = bytes(1 << 16)
    hoard, held = [], 0
    while held < wanted and len(hoard) < 150:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
        sender.setblocking(False)
        hoard.append((sender, receiver))
        before = held
        try:
            while held < wanted:
                held += sender.send(block)
        except BlockingIOError:
            pass
        if held - before < 1 << 16:
            break
    for pair in hoard:
        for end in pair:
            end.close()
    return {"held": held >> 20}
