"""Writes `generated/*.rs` from the service model of AWS Lambda that botocore carries.

    python src/lambda/generate.py            writes the files
    python src/lambda/generate.py --check    exits with 1 if they differ from what would be written

botocore must be the version that `tests/requirements.txt` pins; the virtual environment of the tests
has it (`target/tests/venv`). A test runs this program there and compares.

Names, types, limits and patterns are taken over, documentation is not. Where answers recorded from AWS
differ from the model, what was recorded wins: the tables at the head of this file are all such places.
Patterns are taken apart here, so that what is linked into the server matches and cannot compile.
"""

import argparse
import gzip
import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import expressions  # noqa: E402  (what is beside this file leaves nothing behind)

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODEL = "data/lambda/2015-03-31/service-2.json.gz"

# ------------------------------------------------------------------ what AWS says beside its model

# Sets whose order in recorded refusals is another one than the model's.
ORDER = {
    "EventSourcePosition": ["LATEST", "AT_TIMESTAMP", "TRIM_HORIZON"],
    "InvokeMode": ["RESPONSE_STREAM", "BUFFERED"],
    "RecursiveLoop": ["Terminate", "Allow"],
}

# Limits that are wider in the model than for functions as this server runs them: the model's are
# those of instances that AWS manages (memory, storage) and of durable executions (time).
LIMITS = {
    "EphemeralStorageSize": {"max": 10240},
    "MemorySize": {"max": 10240},
    "Timeout": {"max": 900},
}

# Members whose set is not looked at with the shape: AWS refuses an unknown runtime later, as an
# InvalidParameterValueException.
LATER = {("CreateFunctionRequest", "Runtime"), ("UpdateFunctionConfigurationRequest", "Runtime")}

# Patterns that recorded refusals print without the model's outer parentheses.
BARE = ("LayerVersionArn",)

# Lists whose violated set is told of the list itself and not as a constraint of its members.
FLAT = {"CompatibleRuntimes"}

# Members that recorded refusals tell before others that the model has first.
BEFORE = {"PublishLayerVersionRequest": ("CompatibleRuntimes", "CompatibleArchitectures")}

# Texts that pass although the pattern does not let them: reserved names of variables are refused
# for being reserved.
ALSO = {"EnvironmentVariableName": ["_HANDLER", "_X_AMZN_TRACE_ID"]}

# Operations without types: nothing here will serve them, their rows in the tables suffice.
UNTYPED = ("Durable", "CapacityProvider", "ResourcePolicy")

# ------------------------------------------------------------------ names


def snake(name):
    name = re.sub("([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub("([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def pascal(name):
    """What serde makes of a field's name."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def field(name):
    name = snake(name)
    return f"r#{name}" if name in {"type", "match", "enum", "ref", "use", "where"} else name


def static(name):
    return snake(name).upper()


def text(value):
    """A Rust literal; a raw one where that reads better."""
    if "\\" in value or '"' in value:
        hashes = "#" if '"' in value else ""
        return f'r{hashes}"{value}"{hashes}'
    return f'"{value}"'


# ------------------------------------------------------------------ the model


class Model:
    def __init__(self, raw):
        self.shapes = raw["shapes"]
        self.operations = dict(sorted(raw["operations"].items()))
        for name, order in ORDER.items():
            assert sorted(order) == sorted(self.shapes[name]["enum"]), name
            self.shapes[name]["enum"] = order
        for name, (first, then) in BEFORE.items():
            members = self.shapes[name]["members"]
            order = list(members)
            order.remove(first)
            order.insert(order.index(then), first)
            self.shapes[name]["members"] = {member: members[member] for member in order}
        for name in BARE:
            pattern = self.shapes[name]["pattern"]
            assert pattern.startswith("((") and pattern.endswith("))"), name
            self.shapes[name]["pattern"] = pattern[1:-1]
        for name, limits in LIMITS.items():
            assert all(limit <= self.shapes[name][key] for key, limit in limits.items()), name
            self.shapes[name].update(limits)

    def reached(self, starts):
        """Names of all shapes below some, themselves included."""
        seen, open_ = set(), list(starts)
        while open_:
            name = open_.pop()
            if name in seen:
                continue
            seen.add(name)
            shape = self.shapes[name]
            open_ += [member["shape"] for member in shape.get("members", {}).values()]
            open_ += [shape[part]["shape"] for part in ("member", "key", "value") if part in shape]
        return seen

    def inputs(self, typed=False):
        return self.reached(o["input"]["shape"] for o in self.served(typed))

    def outputs(self, typed=False):
        return self.reached(o["output"]["shape"] for o in self.served(typed) if "output" in o)

    def served(self, typed):
        every = self.operations.items()
        return [o for name, o in every if not typed or not any(word in name for word in UNTYPED)]


HEAD = """//! {purpose}
//!
//! Generated by `src/lambda/generate.py` from botocore {version}: change that, not this.
"""


def operations(model):
    yield "use super::shapes;"
    yield "use crate::operation::{Fault, Row};"
    yield ""
    yield "/// An operation of AWS Lambda."
    yield "#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]"
    yield "pub enum Operation {"
    for name in model.operations:
        yield f"    /// `{name}`"
        yield f"    {name},"
    yield "}"
    yield ""
    yield "/// Every operation, in the order of its number."
    yield f"pub(crate) static ROWS: [Row; {len(model.operations)}] = ["
    for name, operation in model.operations.items():
        http = operation["http"]
        output = operation.get("output")
        output = f"Some(&shapes::{static(output['shape'])})" if output else "None"
        yield "    Row {"
        yield f"        operation: Operation::{name},"
        yield f'        name: "{name}",'
        yield f'        method: "{http["method"]}",'
        yield f'        path: "{http["requestUri"]}",'
        yield f"        status: {http['responseCode']},"
        yield f"        input: &shapes::{static(operation['input']['shape'])},"
        yield f"        output: {output},"
        yield "    },"
    yield "];"
    yield ""
    yield "/// Every error that has a shape, by name."
    faults = sorted(name for name, shape in model.shapes.items() if shape.get("exception"))
    yield f"pub static FAULTS: [Fault; {len(faults)}] = ["
    for name in faults:
        shape = model.shapes[name]
        status = shape["error"]["httpStatusCode"]
        spelled = [member for member in shape["members"] if member.lower() == "message"]
        message = f'Some("{spelled[0]}")' if spelled else "None"
        yield f'    Fault {{ code: "{name}", status: {status}, message: {message} }},'
    yield "];"


def shapes(model):
    yield "use super::patterns;"
    yield "use crate::shape::{Kind, Length, Member, Place, Range, Shape};"
    patterns = numbered(model)
    for name in sorted(model.inputs() | model.outputs()):
        shape = model.shapes[name]
        secret = "true" if shape.get("sensitive") else "false"
        yield ""
        yield f"pub(crate) static {static(name)}: Shape = Shape {{"
        yield f'    name: "{name}",'
        yield f"    secret: {secret},"
        yield f"    kind: {kind(name, shape, patterns)},"
        yield "};"


def kind(name, shape, patterns):
    type_ = shape["type"]
    if type_ == "structure":
        if not shape["members"]:
            return "Kind::Structure(&[])"
        members = "".join(member(name, shape, key, value) for key, value in shape["members"].items())
        return f"Kind::Structure(&[\n{members}    ])"
    if type_ == "list":
        of = static(shape["member"]["shape"])
        flat = "true" if name in FLAT else "false"
        return f"Kind::List {{ of: &{of}, length: {length(shape)}, flat: {flat} }}"
    if type_ == "map":
        key, value = static(shape["key"]["shape"]), static(shape["value"]["shape"])
        return f"Kind::Map {{ key: &{key}, value: &{value}, length: {length(shape)} }}"
    if type_ == "string":
        pattern = f"Some(&patterns::P{patterns[name]})" if name in patterns else "None"
        set_ = ", ".join(f'"{one}"' for one in shape.get("enum", []))
        return f"Kind::Text {{ length: {length(shape)}, pattern: {pattern}, set: &[{set_}] }}"
    if type_ == "blob":
        return "Kind::Blob"
    if type_ in ("integer", "long"):
        return f"Kind::Integer {{ {number(shape, int)}, long: {'true' if type_ == 'long' else 'false'} }}"
    if type_ == "double":
        return f"Kind::Double {{ {number(shape, float)} }}"
    return {"boolean": "Kind::Boolean", "timestamp": "Kind::Timestamp"}[type_]


def length(shape):
    if "max" not in shape and "min" not in shape:
        return "None"
    return f"Some(Length {{ least: {shape.get('min', 0)}, most: {shape['max']} }})"


def number(shape, of):
    limit = lambda key: f"Some({of(shape[key])!r})" if key in shape else "None"
    return f"range: Range {{ least: {limit('min')}, most: {limit('max')} }}"


def member(owner, shape, name, value):
    places = {"uri": "Path", "querystring": "Query", "header": "Header"}
    place = value.get("location")
    if place == "statusCode":
        at = "Place::Status"
    elif place:
        at = f'Place::{places[place]}("{value["locationName"]}")'
    elif shape.get("payload") == name:
        at = "Place::Payload"
    else:
        assert value.get("locationName", name) == name, (owner, name)
        at = "Place::Body"
    required = "true" if name in shape.get("required", []) else "false"
    later = "true" if (owner, name) in LATER else "false"
    return (
        f'        Member {{ name: "{name}", place: {at}, required: {required}, later: {later}, '
        f"shape: &{static(value['shape'])} }},\n"
    )


def numbered(model):
    """The number of each text's pattern, by the text's shape; equal patterns have one number."""
    numbers, found = {}, {}
    for name in sorted(model.inputs() | model.outputs()):
        pattern = model.shapes[name].get("pattern")
        if pattern:
            key = (pattern, tuple(ALSO.get(name, ())))
            numbers[name] = found.setdefault(key, len(found) + 1)
    return numbers


def patterns(model):
    yield "use crate::pattern::Node::{All, Either, End, NoneOf, NotAhead, NotBehind, OneOf, Start, Text, Times};"
    yield "use crate::pattern::{Category, Pattern};"
    seen = set()
    for name, number in numbered(model).items():
        if number in seen:
            continue
        seen.add(number)
        source = model.shapes[name]["pattern"]
        node = expressions.Pattern(source).parse()
        if name in ALSO:
            also = ", ".join(f'Text("{one}")' for one in ALSO[name])
            node = f"Either(&[{node}, {also}])"
        yield ""
        yield f"pub(crate) static P{number}: Pattern = Pattern {{"
        yield f"    text: {text(source)},"
        yield f"    node: {node},"
        yield "};"


def types(model):
    yield "#![allow(missing_docs, reason = \"the names are AWS's, and AWS documents them\")]"
    yield ""
    yield "use serde::{Deserialize, Serialize};"
    yield ""
    yield "use crate::operation::Input;"
    yield "use crate::scalar::{Blob, Pairs};"
    inputs, outputs = model.inputs(typed=True), model.outputs(typed=True)
    for name in sorted(inputs | outputs):
        shape = model.shapes[name]
        if shape["type"] != "structure" or is_raw(shape):
            continue
        serialize, deserialize = name in outputs, name in inputs
        derives = ["Debug", "Default"]
        derives += ["Deserialize"] * deserialize + ["Serialize"] * serialize
        yield ""
        yield f"/// `{name}`"
        yield f"#[derive({', '.join(derives)})]"
        default = ", default" if deserialize else ""
        yield f'#[serde(rename_all = "PascalCase"{default})]'
        members = fields(model, shape)
        yield f"pub struct {name} {{" if members else f"pub struct {name} {{}}"
        for key, value in members:
            attributes = []
            if pascal(snake(key)) != key:
                attributes.append(f'rename = "{key}"')
            if serialize and value.get("location"):
                attributes.append("skip_serializing")
            elif serialize:
                attributes.append('skip_serializing_if = "Option::is_none"')
            if attributes:
                yield f"    #[serde({', '.join(attributes)})]"
            yield f"    pub {field(key)}: Option<{rust(model, value['shape'])}>,"
        if members:
            yield "}"
    for name, operation in model.operations.items():
        if operation["input"]["shape"] in inputs:
            shape = operation["input"]["shape"]
            yield ""
            yield f"impl Input for {shape} {{"
            yield f"    const OPERATION: crate::Operation = crate::Operation::{name};"
            yield "}"


def is_raw(shape):
    """Whether it is bytes on the wire: a stream of events, or an event that is nothing but its payload."""
    return shape.get("eventstream") or any(m.get("eventpayload") for m in shape["members"].values())


def fields(model, shape):
    """Members that are text or JSON; a body that is a stream of its own is not."""
    return [(k, v) for k, v in shape["members"].items() if k != shape.get("payload")]


def rust(model, name):
    shape = model.shapes[name]
    type_ = shape["type"]
    if type_ == "structure":
        return name
    if type_ == "list":
        return f"Vec<{rust(model, shape['member']['shape'])}>"
    if type_ == "map":
        return f"Pairs<{rust(model, shape['value']['shape'])}>"
    plain = {"string": "String", "blob": "Blob", "boolean": "bool"}
    numbers = {"integer": "i64", "long": "i64", "double": "f64", "timestamp": "f64"}
    return (plain | numbers)[type_]


FILES = {
    "operations": ("Every operation of the model, and every error.", operations),
    "shapes": ("Every shape that requests and responses are made of.", shapes),
    "patterns": ("The regular expressions of the model, taken apart.", patterns),
    "types": ("Requests and responses as types.", types),
}


def main():
    arguments = argparse.ArgumentParser(description="Generates Rust from the model of AWS Lambda.")
    arguments.add_argument("--check", action="store_true", help="compare, and write nothing")
    check = arguments.parse_args().check

    import botocore  # Here, so that --help works without.

    pins = (ROOT / "tests/requirements.txt").read_text()
    if f"botocore=={botocore.__version__}\n" not in pins:
        sys.exit(f"botocore {botocore.__version__} is not what tests/requirements.txt pins")
    source = pathlib.Path(botocore.__file__).parent / MODEL
    model = Model(json.loads(gzip.decompress(source.read_bytes())))
    stale = []
    for name, (purpose, lines) in FILES.items():
        head = HEAD.format(purpose=purpose, version=botocore.__version__)
        content = head + "\n" + "\n".join(lines(model)) + "\n"
        path = HERE / "generated" / f"{name}.rs"
        if check:
            if not path.exists() or path.read_text() != content:
                stale.append(path.name)
        else:
            path.write_text(content)
    if stale:
        sys.exit(f"differ from what would be generated: {', '.join(stale)}")


if __name__ == "__main__":
    main()
