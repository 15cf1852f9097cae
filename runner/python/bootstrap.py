"""Hearth's side of a Python function: loads the handler, calls it for every event on the link.

Speaks the protocol of `src/wire/link.rs` on descriptor 3, and behaves towards the function as AWS's
own client for Python does: same `context`, JSON, error documents, log lines. CPython 3.9 or later.

Every millisecond here is a millisecond of every cold start, which decides three things:

* It imports `os`, `time` and `_json`, nothing else. The packages `json`, `logging` and `traceback`
  together cost twice what the interpreter itself needs to start; what is needed of them is done
  here in a few lines, on the C functions they stand on. `logging` is set up when a function imports
  it.
* Importing late must not mean importing something else. AWS's client has these packages in place
  before a function is looked at, so that a `json.py` among the function's files does not replace
  the standard one: a finder keeps their names for the standard library.
* It is one long file. An image carries it compiled; where it is not, compiling is a third of the
  start, and further files would have to be looked for on top of that.

Most starts happen before their function is known (a *spare*): executed with the argument `spare`, or
copied from a template that has imported more (`be_copied`). A spare makes everything random its
own, goes through all that an assignment and the first events do with a function of our own
(`rehearse`), and waits for its environment. From there on there is one path; and the function must
find nothing that tells it which way it was started, apart from `/proc/self`.

What it does not do: decide how a crash, an exit or a timeout is reported. The control plane sees
the process end, or ends it.
"""

import os

LINK = 3
# Frame kinds, of `wire::link::Kind`.
HELLO, READY, INIT_FAILED, RESPONSE, FAILED, OVERSIZE, SPARE, INVOKE, ASSIGN = 1, 2, 3, 4, 5, 6, 8, 64, 65
SNAPSHOT, UNFIT = 10, 11
HEADER = 8
# The sequence number of what belongs to no event.
NO_EVENT = b"\0\0\0"
# Three bytes of sequence number, and two of body: `wire::VERSION`.
GREETING = b"\2\0\0\0\1\0\0\0\4\0"
if __name__ == "__main__":
    # Before anything else is imported: whoever started the interpreter learns that it runs. (Under
    # another name this is a template, or a process that `multiprocessing` has spawned, and 3 is not
    # the link.)
    os.write(LINK, GREETING)

import sys
import time

from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

# AWS's 6 MiB and the 100 bytes it grants on top; `wire::link::MAX_RESPONSE` and `MAX_EVENT`.
MAX_RESPONSE = 6 * 1024 * 1024 + 100
# `wire::link::Kind::Invoke.limit()`.
MAX_INVOKE = MAX_RESPONSE + 16 * 1024
# `wire::link::MAX_ERROR`.
MAX_ERROR = 256 * 1024
# One read takes an ordinary event whole; a larger one is read into a buffer of its size.
CHUNK = 64 * 1024

LOG_TIME = "%Y-%m-%dT%H:%M:%S"
TRACE_ID = "_X_AMZN_TRACE_ID"
VERSION = "python%d.%d" % sys.version_info[:2]
# What the operator added to the image (`packages.to` in the image's recipe).
PACKAGES = "/var/lang/lib/%s/site-packages" % VERSION

# What was compiled of the function's files when they were taken in: a pack, as `compile.py` writes it.
COMPILED = "/var/lang/compiled/" + VERSION
# Where the standard library is, and this file.
STANDARD = os.path.dirname(os.__file__)
OWN = os.path.dirname(os.path.abspath(__file__))
# What an ordinary start has imported by now; whatever comes on top of it ahead of time, a function
# has not asked for.
ORDINARY = frozenset(sys.modules)

# The id of the event being served, for log records; empty while the module is imported.
request_id = ""
# Whether what happens is for nobody.
rehearsing = False


class Settings:
    """What the environment says about the function, as it was when that became known."""

    def __init__(self, environ):
        self.task_root = environ.get("LAMBDA_TASK_ROOT", "/var/task")
        self.handler = environ.get("_HANDLER", "")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_size = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.json_logs = environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
        # AWS's client escapes what is not ASCII up to Python 3.11.
        _, _, minor = environ.get("AWS_EXECUTION_ENV", "").partition("AWS_Lambda_python3.")
        later = minor.isdigit() and int(minor) > 11
        self.quote = encode_basestring if later else encode_basestring_ascii


settings = Settings(os.environ)


class Fault(Exception):
    """What this program, not the function, finds wrong; reported under a name of AWS's."""

    def __init__(self, kind, message, stack=()):
        self.kind, self.message, self.stack = kind, message, list(stack)


# === the link ===


class Link:
    """Frames on a descriptor, and the guard that no other process but this one writes any."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.owner = os.getpid()
        self.ahead = b""
        # Of the event being served, as three bytes of its header and of its answer's.
        self.sequence = NO_EVENT

    def receive(self):
        """The next frame, header included. The process ends with the link."""
        data, self.ahead = self.ahead or self.read(), b""
        while len(data) < HEADER:
            data += self.read()
        end = HEADER + int.from_bytes(data[:4], "little")
        self.sequence = data[5:HEADER]
        if len(data) == end:
            return data
        if end - HEADER > MAX_INVOKE:
            raise ConnectionError("a frame of %d bytes is none of the protocol's" % end)
        if len(data) > end:
            self.ahead = data[end:]
            return data[:end]
        whole = bytearray(end)
        whole[: len(data)] = data
        rest = memoryview(whole)[len(data) :]
        while rest:
            rest = rest[os.readv(self.source, (rest,)) or leave() :]
        return whole

    def read(self):
        return os.read(self.source, CHUNK) or leave()

    def send(self, kind, body=b""):
        """Sends one frame, in one call unless the socket is full."""
        if os.getpid() != self.owner:
            # A child that the handler forked came back out of it: the parent is the one to answer.
            flush()
            leave()
        length = len(body).to_bytes(4, "little")
        frame = b"".join((length, bytes((kind,)), self.sequence, body))
        count = os.write(self.sink, frame)
        if count < len(frame):
            rest = memoryview(frame)[count:]
            while rest:
                rest = rest[os.write(self.sink, rest) :]


def leave():
    """Ends the process without waiting for the function's threads."""
    os._exit(0)


def parse(frame):
    """Deadline, five texts and the payload of an Invoke frame."""
    if frame[4] != INVOKE:
        raise ConnectionError("a frame of kind %d is none of the protocol's" % frame[4])
    at = HEADER + 8
    texts = []
    for _ in range(5):
        start = at + 4
        at = start + int.from_bytes(frame[at:start], "little")
        texts.append(frame[start:at].decode())
    return int.from_bytes(frame[HEADER : HEADER + 8], "little"), texts, memoryview(frame)[at:]


# === JSON, as AWS's client reads and writes it ===


def refuse_constant(name):
    raise ValueError("%s is not JSON" % name)


class Grammar:
    """What the C scanner asks of a decoder."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int, parse_constant = float, int, staticmethod(refuse_constant)


class Raw(str):
    """Text that goes into a document as it is."""


# Types the C encoder writes as AWS's client would, without a look at anything else.
PLAIN = frozenset((str, int, float, bool, type(None)))
scan = make_scanner(Grammar)


def load_json(text):
    """A value from its JSON."""
    try:
        value, end = scan(text, 0)
        if end == len(text):
            return value
    except Exception:
        # Not even a reliable reason: for some the scanner looks to a package not imported yet.
        pass
    # White space around it, or no JSON at all: rare enough for the package, which says what is
    # wrong in the words people know.
    import json

    return json.loads(text, parse_constant=refuse_constant)


def refuse(value):
    """Stands where `json.JSONEncoder.default` does."""
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


def is_plain(value):
    """Whether a value consists of what the C encoder writes as it should.

    Asks about the contents of each container at once, without a line of Python for each of them.
    """
    if type(value) in PLAIN:
        return True
    pending, seen = [value], set()
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind is dict:
            if not PLAIN.issuperset(map(type, value)):
                return False
            value = value.values()
        elif kind is not list and kind is not tuple:
            return False
        if not PLAIN.issuperset(map(type, value)):
            for item in value:
                if type(item) not in PLAIN and id(item) not in seen:
                    seen.add(id(item))
                    pending.append(item)
    return True


def simplify(value, above=()):
    """A value made of what the C encoder writes as it should.

    AWS's client goes beyond the standard library: named tuples are objects, bytes are text,
    decimals are numbers with all their digits.
    """
    if isinstance(value, (str, int, float)) or value is None:
        return value
    if isinstance(value, bytes):
        return str(value, "utf-8")
    if id(value) in above:
        raise ValueError("Circular reference detected")
    above = (*above, id(value))
    as_dict = None if isinstance(value, type) else getattr(value, "_asdict", None)
    if callable(as_dict):
        value = as_dict()
        if not isinstance(value, dict):
            raise TypeError("_asdict() must return a dict, not %s" % type(value).__name__)
    if isinstance(value, dict):
        return {simplify_key(key): simplify(item, above) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [simplify(item, above) for item in value]
    decimal = sys.modules.get("decimal")
    if decimal and isinstance(value, decimal.Decimal):
        return float("nan") if value.is_nan() else Raw(value)
    return refuse(value)


def simplify_key(key):
    """The same for a key."""
    if isinstance(key, (str, int, float)) or key is None:
        return key
    if isinstance(key, bytes):
        return str(key, "utf-8")
    kind = type(key).__name__
    raise TypeError("keys must be str, int, float, bool or None, not %s" % kind)


def encode(value):
    """The UTF-8 bytes of a value's JSON."""
    if type(value) is str:
        # One piece: joining a text would take it apart into letters, six million of a large answer.
        text = (settings.quote(value),)
    elif is_plain(value):
        text = encoder_with(settings.quote)(value, 0)
    else:
        text = encoder_with(quote_unless_raw)(simplify(value), 0)
    # Half a surrogate pair has no UTF-8. It gets the escape that ASCII output would have given it.
    return "".join(text).encode("utf-8", "backslashreplace")


def quote_unless_raw(text):
    return text if type(text) is Raw else settings.quote(text)


def encoder_with(quote, default=refuse):
    """The C encoder, as `json.dumps` sets it up."""
    return make_encoder({}, default, quote, None, ": ", ", ", False, False, True)


# === what a handler is given beside its event ===


class Record:
    """Named values of AWS's client: absent ones are None, and all are shown when printed."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return show(self, self.__slots__)


class CognitoIdentity(Record):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(Record):
    __slots__ = (
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    )


class ClientContext(Record):
    __slots__ = ("custom", "env", "client")


class LambdaContext:
    """The second argument of every handler."""

    def __init__(self, deadline_ms, request_id, arn, client_context, identity):
        self.aws_request_id = request_id
        self.log_group_name = settings.log_group_name
        self.log_stream_name = settings.log_stream_name
        self.function_name = settings.function_name
        self.memory_limit_in_mb = settings.memory_size
        self.function_version = settings.function_version
        self.invoked_function_arn = arn
        self.client_context = None
        if client_context:
            self.client_context = ClientContext(document(client_context, "Client Context"))
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
        identity = document(identity, "Cognito Identity") if identity else {}
        self.identity = CognitoIdentity({})
        self.identity.cognito_identity_id = identity.get("cognitoIdentityId")
        self.identity.cognito_identity_pool_id = identity.get("cognitoIdentityPoolId")
        self.tenant_id = None
        self._epoch_deadline_time_in_ms = deadline_ms

    def get_remaining_time_in_millis(self):
        """How long until the caller gives up."""
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, message):
        """Writes to the function's log, without ending the line."""
        sys.stdout.write(str(message))

    def __repr__(self):
        return show(self, (name for name in vars(self) if not name.startswith("_")))


def show(value, names):
    shown = ",".join("%s=%s" % (name, getattr(value, name)) for name in names)
    return "%s([%s])" % (type(value).__name__, shown)


def document(text, name):
    """What came beside the event as JSON."""
    try:
        return load_json(text)
    except Exception as err:
        message = "Unable to parse %s JSON: %s" % (name, text_of(err))
        raise Fault("Runtime.LambdaContextUnmarshalError", message) from None


# === failures ===


def text_of(err):
    """`str(err)`, which is the function's code and may fail as well."""
    try:
        return str(err)
    except Exception:
        return "<the exception's own text could not be had>"


def source_line(filename, number, files):
    """A line of a source file, or nothing; `files` remembers what was read."""
    if filename not in files:
        try:
            with open(filename, encoding="utf-8", errors="replace") as file:
                files[filename] = file.read().splitlines()
        except (OSError, ValueError):
            # Made from a string, or gone.
            files[filename] = ()
    lines = files[filename]
    return lines[number - 1].strip() if number <= len(lines) else ""


def stack_of(err):
    """Stack entries, outermost first, as `traceback.format_list` writes them.

    Done by hand because it has to work when no descriptor is left to import anything with.
    """
    own = stack_of.__code__.co_filename
    frames = []
    place = err.__traceback__
    while place is not None:
        code = place.tb_frame.f_code
        # What called the handler, or imported its module, is nothing the function's author wrote.
        file = code.co_filename
        if frames or not (file == own or file.startswith("<frozen importlib")):
            frames.append((file, place.tb_lineno, code.co_name))
        place = place.tb_next
    entries, files, previous, repeated = [], {}, None, 0
    for frame in [*frames, None]:
        if frame == previous:
            repeated += 1
        else:
            if repeated > 2:
                more = "%d more time%s" % (repeated - 2, "" if repeated == 3 else "s")
                entries.append("  [Previous line repeated %s]\n" % more)
            previous, repeated = frame, 0
        if frame and repeated < 3:
            entry = '  File "%s", line %s, in %s\n' % frame
            line = source_line(*frame[:2], files)
            entries.append(entry + "    %s\n" % line if line else entry)
    return entries


def report(kind, message, stack):
    """An error document for the caller, after the same has gone to the log."""
    error = {
        "errorMessage": printable(message),
        "errorType": printable(kind),
        "requestId": request_id,
        "stackTrace": [printable(entry) for entry in stack],
    }
    try:
        sys.stdout.write(error_record(error) + "\n")
    except Exception:
        # The function closed or replaced its output: the caller is told all the same.
        pass
    limit = MAX_ERROR
    while True:
        body = encode(error)
        if len(body) <= MAX_ERROR:
            return body
        # Escapes make a character up to twelve bytes: cut and see, both ends of the stack last.
        limit //= 4
        stack, kept = error["stackTrace"], max(limit // 2048, 1)
        if len(stack) > 2 * kept:
            stack = stack[:kept] + stack[-kept:]
        error["errorMessage"] = error["errorMessage"][:limit]
        error["errorType"] = error["errorType"][:limit]
        error["stackTrace"] = [entry[:1024] for entry in stack]


def printable(text):
    """Text that has UTF-8: halves of surrogate pairs, as in odd file names, are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def error_record(error):
    """What the log says about an error document."""
    if settings.json_logs:
        now = time.strftime(LOG_TIME, time.gmtime())
        return encode({"timestamp": now + "Z", "level": "ERROR", **error}).decode()
    parts = (error["errorType"], error["errorMessage"])
    lines = ["[ERROR] " + ": ".join(part for part in parts if part)]
    lines.append("Traceback (most recent call last):")
    for entry in error["stackTrace"]:
        for line in entry.splitlines():
            text = line.lstrip(" ")
            # Not indented by spaces, so that no log viewer folds them; as AWS does.
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    return "\n".join(lines)


def flush():
    """Sends off what was printed and has no end of line yet."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__):
        try:
            stream.flush()
        except Exception:
            # Closed or replaced by the function, or nobody reads it any more: nothing to be saved.
            pass


# === the standard library's log ===


def set_up_logging(logging):
    """Gives the root logger AWS's handler and formats, right after the package was imported."""

    class LambdaLoggerHandler(logging.Handler):
        def emit(self, record):
            text = self.format(record)
            # A stack is appended to the format's own end of line, and has none itself.
            sys.stdout.write(text if text.endswith("\n") else text + "\n")

    class LambdaLoggerFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = request_id
            return True

    class JsonFormatter(logging.Formatter):
        def format(self, record):
            level = min(50, max(0, record.levelno)) // 10 * 10
            known = {
                "timestamp": self.formatTime(record, LOG_TIME + "Z"),
                "level": logging.getLevelName(level),
                "message": record.msg
                if isinstance(record.msg, dict) and not record.args
                else record.getMessage(),
                "logger": record.name,
                "requestId": record.aws_request_id,
            }
            if record.exc_info:
                kind, err, _ = record.exc_info
                known["stackTrace"] = stack_of(err)
                known["errorType"] = kind.__name__
                known["errorMessage"] = text_of(err)
                known["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
            for name, value in record.__dict__.items():
                if name not in standard:
                    known.setdefault(name, value)
            known = {name: value for name, value in known.items() if value is not None}
            return "".join(encoder_with(encode_basestring, str)(known, 0)) + "\n"

    standard = set(logging.makeLogRecord({}).__dict__) | {"aws_request_id", "message", "asctime"}
    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    if settings.json_logs:
        handler.setFormatter(JsonFormatter())
    else:
        form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        handler.setFormatter(logging.Formatter(form, LOG_TIME))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG")
    if level in logging._nameToLevel:
        root.setLevel(level)


# === finding the handler ===

# What AWS's client has imported before it looks at a function (its version 4.2.2, on every Python
# supported here; less what is built in): a function's files cannot replace it there.
PINNED = frozenset(
    """
    __future__ _colorize _decimal _json _weakrefset collections contextlib copyreg decimal enum
    functools importlib json keyword linecache logging numbers operator re reprlib sre_compile
    sre_constants sre_parse string textwrap threading token tokenize traceback types warnings
    weakref
    """.split()
)


class Pinned:
    """Finds those in the standard library, wherever else the search path leads; and, for whoever asks
    for it first, what was imported ahead of time."""

    def __init__(self, find, path, finds):
        self.find, self.path, self.finds = find, path, finds

    def find_spec(self, name, path=None, target=None):
        if name in ahead:
            if self.finds.same(name):
                return Kept(ahead[name][0]).spec()
            del ahead[name]
        if path is not None or name not in PINNED:
            return None
        spec = self.find(name, self.path, target)
        if name == "logging" and spec is not None:
            execute = spec.loader.exec_module

            def execute_and_set_up(module):
                execute(module)
                set_up_logging(module)

            spec.loader.exec_module = execute_and_set_up
        return spec


def set_up_imports():
    """The search path of AWS's runtimes: the function, its layers, then what the image has."""
    layer = ["/opt/python/lib/%s/site-packages" % VERSION, "/opt/python"]
    global ours
    rest = [entry for entry in sys.path if entry and entry != OWN]
    ours = (*rest, PACKAGES, OWN)
    sys.path[:] = [settings.task_root, *layer, *ours]
    for finder in sys.meta_path:
        if getattr(finder, "__name__", "") == "PathFinder":
            path = [STANDARD, STANDARD + "/lib-dynload"]
            # Before those for what is built in and frozen, some of which was imported ahead of time.
            sys.meta_path.insert(0, Pinned(finder.find_spec, path, Finds(finder)))
            break
    if "logging" in sys.modules:
        set_up_logging(sys.modules["logging"])
    for entry in (settings.task_root, *layer):
        try:
            names = os.listdir(entry)
        except OSError:
            # No such layer, or no files: the import of the handler is what fails then.
            continue
        if any(name.endswith(".pth") for name in names):
            import site

            site.addsitedir(entry)


def use_compiled(pack):
    """Has modules loaded as they were compiled when the function's code was taken in, if they were.

    Nothing else of an import changes: where a module is found, what it says of itself and what a
    traceback shows are an ordinary import's, and a module that is not in the pack has an ordinary one.
    """
    if sys.flags.optimize or sys.warnoptions:
        # Compiled another way than this interpreter would, or without the warnings it is to give.
        return
    try:
        file = os.open(pack, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # Most code has none.
        return
    import marshal

    external = sys.modules["_frozen_importlib_external"]
    try:
        head = os.read(file, 8)
        if head[:4] != external.MAGIC_NUMBER:
            return
        start = 8 + int.from_bytes(head[4:], "little")
        index = dict(marshal.loads(os.pread(file, start - 8, 8)))
    except Exception:
        # What made it made it of the function's own code, whatever that did to it.
        return
    finally:
        os.close(file)

    class SourceFileLoader(external.SourceFileLoader):
        __module__ = external.SourceFileLoader.__module__
        __qualname__ = "SourceFileLoader"

        def get_code(self, fullname):
            try:
                at, length = index[self.path]
                file = os.open(pack, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    return marshal.loads(os.pread(file, length, start + at))
                finally:
                    os.close(file)
            except Exception:
                return super().get_code(fullname)

    def source_loader(name, path):
        return (SourceFileLoader if path in index else external.SourceFileLoader)(name, path)

    loaders = [
        (source_loader if loader is external.SourceFileLoader else loader, suffixes)
        for loader, suffixes in external._get_supported_file_loaders()
    ]
    finder = external.FileFinder.path_hook(*loaders)
    root, beneath = settings.task_root, settings.task_root + "/"

    def path_hook_for_FileFinder(path):
        if path != root and not path.startswith(beneath):
            raise ImportError("only beneath %s" % root, path=path)
        return finder(path)

    sys.path_hooks.insert(0, path_hook_for_FileFinder)
    sys.path_importer_cache.pop(root, None)


def load(name):
    """The handler that `module.function` names; the module may be `folder/file`."""
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        message = "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name
        raise Fault("Runtime.MalformedHandlerName", message)
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = "Cannot use built-in module %s as a handler module" % module_name
        raise Fault("Runtime.BuiltInModuleConflict", message)
    dotted = module_name.replace("/", ".")
    try:
        if dotted.startswith("."):
            # No absolute name. The package knows the words for it.
            import importlib

            module = importlib.import_module(dotted)
        else:
            __import__(dotted)
            module = sys.modules[dotted]
    except ImportError as err:
        message = "Unable to import module '%s': %s" % (module_name, text_of(err))
        raise Fault("Runtime.ImportModuleError", message) from None
    except SyntaxError as err:
        message = "Syntax error in module '%s': %s" % (module_name, text_of(err))
        place = '  File "%s" Line %s\n    %s' % (err.filename, err.lineno, err.text)
        raise Fault("Runtime.UserCodeSyntaxError", message, [place]) from None
    try:
        return getattr(module, attribute)
    except AttributeError:
        message = "Handler '%s' missing on module '%s'" % (attribute, module_name)
        raise Fault("Runtime.HandlerNotFound", message) from None


# === the life of an instance ===


def answer(handler, frame):
    """Kind and body of the frame that answers one event."""
    global request_id
    deadline_ms, (request_id, arn, trace_id, client_context, identity), payload = parse(frame)
    if trace_id:
        os.environ[TRACE_ID] = trace_id
    elif TRACE_ID in os.environ:
        del os.environ[TRACE_ID]
    try:
        context = LambdaContext(deadline_ms, request_id, arn, client_context, identity)
        try:
            event = load_json(str(payload, "utf-8"))
        except Exception as err:
            message = "Unable to unmarshal input: %s" % text_of(err)
            raise Fault("Runtime.UnmarshalError", message) from None
        # Six megabytes at most, but they count against the function's memory.
        del frame, payload
        response = handler(event, context)
        # Bytes are an answer as they are, whatever they hold.
        if type(response) is bytes:
            body = response
        else:
            try:
                body = encode(response)
            except Exception as err:
                message = "Unable to marshal response: %s" % text_of(err)
                raise Fault("Runtime.MarshalError", message) from None
    except Fault as fault:
        return FAILED, report(fault.kind, fault.message, fault.stack)
    except Exception as err:
        return FAILED, report(type(err).__name__, text_of(err), stack_of(err))
    if len(body) > MAX_RESPONSE:
        return OVERSIZE, len(body).to_bytes(8, "little")
    return RESPONSE, body


def initialise():
    """Loads the handler: that, or the document that says why it cannot be called."""
    set_up_imports()
    use_compiled(COMPILED)
    handler = error = None
    try:
        handler = load(settings.handler)
    except Fault as fault:
        error = report(fault.kind, fault.message, fault.stack)
    except Exception as err:
        error = report(type(err).__name__, text_of(err), stack_of(err))
    flush()
    return handler, error


def begin(link):
    """Loads the handler, and says how that went; None if it cannot be called."""
    handler, error = initialise()
    if error is not None:
        link.send(INIT_FAILED, error)
        return None
    link.send(READY)
    return handler


def serve(link, handler):
    """Answers one event."""
    kind, body = answer(handler, link.receive())
    flush()
    link.send(kind, body)


def live(link):
    """The life of a process that knows its function."""
    handler = begin(link)
    if handler is None:
        sys.exit(1)
    while True:
        serve(link, handler)


def open_link():
    """The link, and output as a function is to have it."""
    # A program that the function starts must not hold the link, nor whoever made the socket decide
    # whether reading waits.
    os.set_inheritable(LINK, False)
    os.set_blocking(LINK, True)
    for stream in (sys.stdout, sys.stderr):
        set_up_stream(stream)
    return Link(LINK, LINK)


def set_up_stream(stream):
    # Every line is in the log at once; what has no UTF-8 is spelled out instead of raised.
    stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


# === what was imported ahead of time ===

# The end of the search path, which is not the function's.
ours = ()
# What a template has imported and no function has asked for yet, by name: the module, and the names of
# what its import imported in turn.
ahead = {}


def there(name):
    """A module that was imported, whether or not anybody has asked for it."""
    return sys.modules.get(name) or ahead.get(name, (None,))[0]


class Kept:
    """Stands for the loader of a module that is there already."""

    def __init__(self, module):
        self.module, self.found = module, module.__spec__

    def spec(self):
        """What the import system takes for a module that has to be loaded."""
        found = self.found
        place = found.submodule_search_locations
        package = place is not None
        spec = type(found)(found.name, self, origin=found.origin, is_package=package)
        spec.has_location, spec.cached = found.has_location, found.cached
        if package:
            spec.submodule_search_locations = place
        return spec

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        module.__spec__ = self.found
        bring(self.found.name)

    def __getattr__(self, name):
        # Whoever wants more of a loader than to load wants the one that did.
        return getattr(self.found.loader, name)


# What CPython's allocator rounds sizes to, from the smallest that an object of this kind has, and up to
# which it is the allocator.
SMALLEST, STEP, LARGEST = 48, 16, 512
# Two megabytes of the smallest.
MOST_HOLES = 40_000
# What fills holes in a template's memory.
filler = []
# What has been taken from there. To free it would be to write to hundreds of pages, which would be copied.
spent = []
# Those that are the operator's, and not of the standard library: a template that has them serves only
# functions that import some.
heavy = []
# By name, for those that a template was asked to import: all that comes with each.
closures = {}
# The same, names of packages and of what is in none: all but what is found wherever a search begins.
tops = {}


def closure(name):
    """A module, its packages, and what its import imported in turn, as far as nobody has it yet."""
    found, pending = {}, [name]
    while pending:
        name = pending.pop()
        if name in ahead and name not in found:
            found[name] = None
            pending += (*ahead[name][1], name.rpartition(".")[0])
    return tuple(found)


def bring(name):
    """Puts a module, and what comes with it, where an import would have put it."""
    names = [each for each in closures.get(name) or closure(name) if each in ahead]
    for each in names:
        kept = ahead.pop(each)
        sys.modules[each] = kept[0]
        spent.append(kept)
    for each in names:
        package, _, child = each.rpartition(".")
        if package in sys.modules:
            setattr(sys.modules[package], child, sys.modules[each])
    if "logging" in names and not rehearsing:
        # Records say how long ago that was.
        module = sys.modules["logging"]
        precise = isinstance(module._startTime, int)
        module._startTime = time.time_ns() if precise else time.time()
        set_up_logging(module)


class Finds:
    """Whether an import would find today what it found in the template.

    The search path begins with the function's files and its layers, which may have modules of the same
    names, and a function may change the path.
    """

    def __init__(self, finder):
        self.finder, self.path, self.known, self.first = finder, (), {}, None

    def same(self, name):
        """Whether that is so for a module and all that its import imports."""
        if self.path != tuple(sys.path):
            self.path, self.known = tuple(sys.path), {}
            self.first = self.names_before_ours()
        if self.first is not None and name in closures:
            if self.first.isdisjoint(tops[name]):
                return True
        pending, seen = [name], set()
        while pending:
            name = pending.pop()
            if name in ahead and name not in seen:
                seen.add(name)
                pending.extend(ahead[name][1])
                # What is beneath a package is looked for where the package is.
                if not self.leads_to(name.partition(".")[0]):
                    return False
        return True

    def names_before_ours(self):
        """What the directories have that come before those a template has looked in, by names up to the
        first dot; or None where there is more to a search than that."""
        before = self.path[: -len(ours)]
        if self.path[len(before) :] != ours:
            return None
        found = set()
        for entry in before:
            try:
                names = os.listdir(entry or ".")
            except FileNotFoundError:
                continue
            except OSError:
                return None
            found.update(name.partition(".")[0] for name in names)
        return found

    def leads_to(self, name):
        if name not in self.known:
            found = None if everywhere(name) else self.finder.find_spec(name)
            self.known[name] = everywhere(name) or bool(found and found.origin == origin(name))
        return self.known[name]


def everywhere(name):
    """Whether a module is found wherever a search begins."""
    return name in PINNED or origin(name) in ("built-in", "frozen")


def origin(name):
    """Where a module that was imported was found."""
    return getattr(getattr(there(name), "__spec__", None), "origin", None) or ""


def import_ahead(names):
    """Imports modules that functions are likely to ask for, and puts them aside until one does.

    For a template, which imports this program before anything else and nothing after that. Aside,
    because a function must find imported what an ordinary start has imported and no more: a program
    that forgets an import would otherwise run or fail depending on how it was started.
    """
    import builtins

    plain, edges, places = builtins.__import__, {}, dict(sys.path_importer_cache)

    # What is being imported, the innermost last.
    current = [None]

    def noting(name, globals=None, locals=None, fromlist=(), level=0):
        importer, absolute = (globals or {}).get("__name__"), name
        if level:
            package = (globals.get("__package__") or "").split(".")
            package = package[: len(package) - level + 1]
            absolute = ".".join([*package, name] if name else package)
        if not getattr((globals or {}).get("__spec__"), "_initializing", False):
            # A function, which whatever is being imported has called.
            importer = current[-1]
        current.append(absolute)
        try:
            result = plain(name, globals, locals, fromlist, level)
        finally:
            current.pop()
        imports = edges.setdefault(importer, {})
        imports[absolute] = None
        for part in fromlist or ():
            if "%s.%s" % (absolute, part) in sys.modules:
                imports["%s.%s" % (absolute, part)] = None
        return result

    path = list(sys.path)
    sys.path.append(PACKAGES)
    builtins.__import__ = noting
    for name in names:
        try:
            __import__(name)
        except Exception as err:
            # Functions are no worse off than without a template.
            print("%s is not imported ahead of time: %s" % (name, text_of(err)), file=sys.stderr)
    builtins.__import__ = plain
    sys.path[:] = path
    restore(sys.path_importer_cache, places)
    for name in [name for name in sys.modules if name not in ORDINARY]:
        if name in ("__main__", __name__):
            continue
        module = sys.modules.pop(name)
        ahead[name] = module, edges.setdefault(name, {})
        if getattr(getattr(module, "__spec__", None), "name", None) != name:
            # Not imported but put there, by the module it is named after.
            edges.setdefault(name.rpartition(".")[0], {})[name] = None
    for name in ahead:
        detach(name)


def detach(name):
    """Takes a module that is put aside out of its package, where an import would have put it."""
    package, _, child = name.rpartition(".")
    parent = there(package)
    if getattr(parent, child, None) is ahead[name][0]:
        delattr(parent, child)


def be_copied(names):
    """What a template does before it is copied, with modules that functions are likely to ask for."""
    global heavy
    import_ahead([*names, "select", "gc"])
    for name in names:
        while name in ahead:
            closures[name] = closure(name)
            first = {each.partition(".")[0] for each in closures[name]}
            tops[name] = frozenset(each for each in first if not everywhere(each))
            name = name.rpartition(".")[0]
    heavy = [name for name in names if name in ahead and origin(name).startswith(PACKAGES + "/")]
    # What these two do for the first time, no copy has to; what is random every copy makes its own.
    reseed()
    rehearse(REHEARSALS)
    there("gc").collect()
    for size in range(SMALLEST, LARGEST + 1, STEP):
        fill(size)


def fill(size):
    """Fills the holes of this size that are in pages of memory with others of the same size: a copy that
    filled one would have to copy the page."""
    page, pages = 4096, []
    while len(pages) < MOST_HOLES:
        filler.append(bytes(size - bytes().__sizeof__()))
        pages.append(id(filler[-1]) // page)
        # As many as there are in two pages, and all in one another's neighbourhood: they are new.
        if len(set(pages[-2 * page // size :])) <= 3 and len(pages) >= 2 * page // size:
            break


def reseed():
    """Makes everything random this process's own, whether or not its library has noticed a fork.

    Copies of one template may even have the same process id, each in a namespace of its own.
    """
    random, ssl, uuid, numpy = map(there, ("random", "_ssl", "uuid", "numpy.random"))
    if random is not None:
        random.seed()
    if ssl is not None:
        ssl.RAND_add(os.urandom(64), 64.0)
    if uuid is not None:
        uuid._node = uuid._last_timestamp = None
    if numpy is not None:
        numpy.seed()
    tempfile, process = there("tempfile"), there("multiprocessing.process")
    if tempfile is not None:
        tempfile._name_sequence = None
    if process is not None:
        process.current_process().authkey = os.urandom(32)


# === starting ahead of time ===

# As often as it takes until CPython has made what it runs its own (since 3.11 after eight times).
REHEARSALS = 12
# A copy of what has rehearsed does it again because pages that it writes to for the first time are copied.
REHEARSALS_OF_A_COPY = 2
# How long a copy waits for its function before that, seconds: who is waited for is spared it.
HASTE = 0.005


def replace_environment(entries):
    """Makes these, in this order, the whole environment, for Python and for libraries in C."""
    # The names and values themselves: going by way of text takes several times as long.
    data, new = os.environ._data, dict(entry.split(b"=", 1) for entry in entries)
    old = dict(data)
    data.clear()
    data.update(new)
    for name in old:
        if name not in new:
            os.unsetenv(name)
    for name, value in new.items():
        if old.get(name) != value:
            os.putenv(name, value)
    if old.get(b"TZ") != new.get(b"TZ"):
        time.tzset()


def assigned(frame):
    """The entries of an Assign frame."""
    if frame[4] != ASSIGN:
        raise ConnectionError("a frame of kind %d is none for a spare" % frame[4])
    at, entries = HEADER + 2, []
    for _ in range(int.from_bytes(frame[HEADER:at], "little")):
        start = at + 4
        at = start + int.from_bytes(frame[at:start], "little")
        entries.append(bytes(frame[start:at]))
    return entries


def assume(frame):
    """Becomes the function that an Assign frame says."""
    global settings
    replace_environment(assigned(frame))
    settings = Settings(os.environ)
    os.chdir(settings.task_root)
    process = there("multiprocessing.process")
    if process is not None:
        process.ORIGINAL_DIR = settings.task_root


def rehearse(rounds):
    """Does all that an assignment and the first events will do, on a function of our own.

    Afterwards everything that a function could see of it is as it was.
    """
    global rehearsing, request_id, settings
    rehearsing = True
    tables = [(table, dict(table)) for table in (sys.modules, sys.path_importer_cache)]
    # To copy it is to write to all that is in it.
    aside = dict(ahead) if heavy else {}
    lists = [(entries, list(entries)) for entries in (sys.path, sys.meta_path)]
    streams, before, folder = (sys.stdout, sys.stderr), settings, os.getcwd()
    environment = [b"=".join(pair) for pair in os.environb.items()]
    assignment = [b"LAMBDA_TASK_ROOT=" + os.fsencode(OWN + "/rehearsal"), b"_HANDLER=rehearsed.handler"]
    assignment += (b"REHEARSAL_%d=some value" % number for number in range(20))
    # One that is initialised for a snapshot has its function's by now.
    own = (b"LAMBDA_TASK_ROOT=", b"_HANDLER=")
    assignment += (it for it in environment if not it.startswith(own))
    text = b"".join(len(it).to_bytes(4, "little") + it for it in assignment)
    # An event has a deadline, an id and an ARN, and may have a trace id and two documents more.
    words = (b"00000000-0000-0000-0000-000000000000", b"arn:aws:lambda", b"Root=1", b"{}", b"{}")
    head = bytes(8) + b"".join(len(it).to_bytes(4, "little") + it for it in words)
    import io

    (source, feed), (drain, sink) = pipes = os.pipe(), os.pipe()

    def send(kind, body):
        os.write(feed, len(body).to_bytes(4, "little") + bytes((kind, 1, 0, 0)) + body)

    events = [b'{"key": ["value", 1, 2.5, null, {"deeper": true}]}', b'"fail"']
    if rounds == REHEARSALS_OF_A_COPY:
        # Pages that only a failure writes to are not worth having.
        events.pop()
    for _ in range(rounds):
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO()) for _ in streams)
        set_up_stream(sys.stdout)
        link = Link(source, sink)
        send(ASSIGN, len(assignment).to_bytes(2, "little") + text)
        assume(link.receive())
        handler = begin(link)
        for event in events:
            send(INVOKE, head + event)
            serve(link, handler)
        os.read(drain, CHUNK)
        for name in heavy:
            __import__(name)
        brought = [name for name in aside if name not in ahead]
        ahead.update(aside)
        for entries, had in lists:
            entries[:] = had
        for table, had in tables:
            restore(table, had)
        for name in brought:
            detach(name)
        spent.clear()
        # Its module refers to itself, and a collection would write to more pages than are won.
        handler.__globals__.clear()
        os.chdir(folder)
    sys.stdout, sys.stderr = streams
    replace_environment(environment)
    settings, request_id, rehearsing = before, "", False
    for pipe in pipes:
        for end in pipe:
            os.close(end)


def restore(table, had):
    """Gives a dictionary of the interpreter's the entries that it had."""
    for name in [name for name in table if name not in had]:
        del table[name]
    table.update(had)


def take_place():
    """Makes this module, which a template has imported, the program that is running."""
    module = sys.modules.pop(__name__)
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) == __name__:
            value.__module__ = "__main__"
    compiled = "%s.%s.pyc" % (__file__[: -len(".py")], sys.implementation.cache_tag)
    program = compiled if os.path.exists(compiled) else __file__
    own = sys.modules["__main__"]
    # Its functions are still running.
    ahead["__main__"] = own, ()
    loader = type(own.__loader__)
    if program is compiled:
        loader = sys.modules["_frozen_importlib_external"].SourcelessFileLoader
    values = {
        "__name__": "__main__",
        "__file__": program,
        "__cached__": None,
        "__spec__": None,
        "__package__": None,
        "__loader__": loader("__main__", program),
        "__builtins__": own.__builtins__,
        "__annotations__": {},
    }
    vars(module).update(values)
    sys.modules["__main__"] = module
    if sys.path_importer_cache.pop(own.__file__, module) is None:
        # The interpreter has looked whether its program is a package.
        sys.path_importer_cache[program] = None
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[-len(sys.argv) :] = [program]
    sys.argv[:] = [program]


def wait_for_function(link, rounds):
    """The life of a spare, up to the moment when it is one no longer."""
    reseed()
    if rounds:
        rehearse(rounds)
    link.send(SPARE)
    assume(link.receive())


def spare():
    """The life of a process that a template has made, with the link where it belongs."""
    take_place()
    os.write(LINK, GREETING)
    link = open_link()
    hurried, _, _ = there("select").select((LINK,), (), (), HASTE)
    wait_for_function(link, 0 if hurried else REHEARSALS_OF_A_COPY)
    live(link)


# === initialised once, and restored ===


def snapshot(link):
    """The life of a process that is initialised to be restored, and of all that are restored from it."""
    global settings
    # The rest of this program, which no other start has to pay for.
    path, part = os.path.join(OWN, "snapshot.py"), {"__name__": "snapshot"}
    with open(path, encoding="utf-8") as file:
        exec(compile(file.read(), path, "exec"), part)
    reseed()
    # Before anything is put aside: what a rehearsal takes from there, it does not put back.
    rehearse(REHEARSALS)
    snapshots = part["Snapshots"](sys.modules[__name__])
    handler, error = initialise()
    restored = False
    if error is None:
        try:
            restored = snapshots.take(link)
        except part["Unfit"] as err:
            link.send(UNFIT, str(err).encode("utf-8", "backslashreplace")[:1024])
            leave()
        except Exception as err:
            error = report("Runtime.BeforeSnapshotError", text_of(err), stack_of(err))
            flush()
    if error is not None:
        link.send(INIT_FAILED, error)
        sys.exit(1)
    if not restored:
        link.send(SNAPSHOT)
        leave()
    # From here on this is another process, with another link.
    os.set_inheritable(LINK, False)
    os.set_blocking(LINK, True)
    os.write(LINK, GREETING)
    link = Link(LINK, LINK)
    reseed()
    snapshots.adopt(assigned(link.receive()))
    settings = Settings(os.environ)
    try:
        part["run_hooks"]("after_restore")
    except Exception as err:
        error = report("Runtime.AfterRestoreError", text_of(err), stack_of(err))
        flush()
        link.send(INIT_FAILED, error)
        sys.exit(1)
    flush()
    link.send(READY)
    while True:
        serve(link, handler)


def main():
    link, way = open_link(), sys.argv[1:]
    if way:
        del sys.argv[1:]
        if hasattr(sys, "orig_argv"):
            del sys.orig_argv[-1:]
    if way == ["snapshot"]:
        return snapshot(link)
    if way == ["spare"]:
        wait_for_function(link, REHEARSALS)
    live(link)


if __name__ == "__main__":
    main()
