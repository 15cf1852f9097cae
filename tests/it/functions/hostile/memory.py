"""Takes memory until it is ended for it, every time."""


def handler(event, context):
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))
