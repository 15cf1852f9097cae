from additional import NAME


def handler(event, context):
    return NAME
