"""What a function registers to be told of a snapshot: the interface of AWS's package of this name.

    from snapshot_restore_py import register_before_snapshot, register_after_restore

Both take a function, and what it is to be called with; both give the function back, so that they are
decorators as well. Before a snapshot the last registered is called first; after it was restored, the
first. Where there is no snapshot, nothing is called.
"""

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    """Calls `func` when the function is initialised, before its snapshot is taken."""
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Calls `func` in every instance that was restored, before its first event."""
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    """What is registered: functions, their arguments, their named arguments."""
    return _before_snapshot


def get_after_restore():
    """The same for after a restore."""
    return _after_restore
