#!/usr/bin/env python3
"""Write structure.txt and descriptions.z, the schemas of the built-in kinds.

    pip download --no-deps kubernetes-validate==1.37.0
    ./generate.py kubernetes_validate-1.37.0-py3-none-any.whl SPEC_DIR

SPEC_DIR is `api/openapi-spec` of a Kubernetes source tree; its v3 documents supply the default values, which the wheel
lacks. Everything else (types, descriptions, x-kubernetes-* extensions) comes from the wheel's v1.35.0 definitions.

structure.txt is text so that a change of Kubernetes version can be read as a diff:

    core.v1.Pod                       a definition; ~ stands for io.k8s.apimachinery.pkg.apis., a bare name for io.k8s.api.
     #|v1|Pod                         group, version and kind of a top-level object
     %ma                              a structure that is replaced as a whole; %LETTER: a definition that is a scalar
     &{...}                           a discriminated union, as in x-kubernetes-unions
     metadata @~meta.v1.ObjectMeta ={} name, type, then flags

Types: s string, y base64 bytes, t time, b boolean, i int32, l int64, n integer, d double, f number, o any object,
* anything, q quantity, x int-or-string, [T list, {T map, @NAME reference.
Flags: ! required, =JSON default, la|ls|lm:KEYS list type atomic, set or map, ma map type atomic, p:STRATEGY patch strategy,
k:KEY patch merge key. descriptions.z holds the descriptions in the same order, deflated: one line per definition or
property, escaped as JSON strings.
"""
import json
import pathlib
import sys
import zipfile
import zlib

MEMBER = "kubernetes_validate/kubernetes-json-schema/v1.35.0-local/_definitions.json"
SCALARS = {
    ("string", None): "s", ("string", "byte"): "y", ("string", "date-time"): "t", ("boolean", None): "b",
    ("integer", "int32"): "i", ("integer", "int64"): "l", ("integer", None): "n", ("number", "double"): "d",
    ("number", None): "f", ("object", None): "o", (None, None): "*",
}
LIST_TYPES = {"atomic": "la", "set": "ls", "map": "lm"}


def short(name):
    """The name as structure.txt writes it."""
    if name.startswith("io.k8s.api."):
        return name[len("io.k8s.api."):]
    if name.startswith("io.k8s.apimachinery.pkg.apis."):
        return "~" + name[len("io.k8s.apimachinery.pkg.apis."):]
    return name


def plain_type(schema):
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(k for k in kind if k != "null")
    return kind


def type_of(schema):
    """The type letter of a schema."""
    ref = schema.get("$ref") or next((s["$ref"] for s in schema.get("allOf", [])), None)
    if ref:
        return "@" + short(ref.rsplit("/", 1)[1])
    if "oneOf" in schema:
        return "q"
    kind = plain_type(schema)
    if kind == "array":
        return "[" + type_of(schema["items"])
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return "{" + type_of(schema["additionalProperties"])
    form = schema.get("format")
    return SCALARS[(kind, form)]


def flags(schema, required, default):
    words = []
    if required:
        words.append("!")
    if default is not None:
        words.append("=" + json.dumps(default, separators=(",", ":")))
    if "x-kubernetes-list-type" in schema:
        kind = schema["x-kubernetes-list-type"]
        keys = ",".join(schema.get("x-kubernetes-list-map-keys", []))
        words.append(LIST_TYPES[kind] + (":" + keys if keys else ""))
    if schema.get("x-kubernetes-map-type") == "atomic":
        words.append("ma")
    if "x-kubernetes-patch-strategy" in schema:
        words.append("p:" + schema["x-kubernetes-patch-strategy"])
    if "x-kubernetes-patch-merge-key" in schema:
        words.append("k:" + schema["x-kubernetes-patch-merge-key"])
    return words


def defaults_of(spec_dir):
    """Definition and property to default value, from every v3 document."""
    found = {}
    for path in sorted(pathlib.Path(spec_dir, "v3").glob("*.json")):
        schemas = json.loads(path.read_text()).get("components", {}).get("schemas", {})
        for name, schema in schemas.items():
            for prop, sub in schema.get("properties", {}).items():
                if "default" in sub:
                    found[name, prop] = sub["default"]
    return found


def definition(name, schema, defaults, lines, descriptions):
    lines.append(short(name))
    for gvk in schema.get("x-kubernetes-group-version-kind", []):
        lines.append(f" #{gvk['group']}|{gvk['version']}|{gvk['kind']}")
    if "properties" not in schema:
        lines.append(" %" + ("x" if name.endswith("IntOrString") else type_of(schema)))
    elif schema.get("x-kubernetes-map-type") == "atomic":
        lines.append(" %ma")
    for union in schema.get("x-kubernetes-unions", []):
        lines.append(" &" + json.dumps(union, separators=(",", ":"), sort_keys=True))
    descriptions.append(schema.get("description", ""))
    required = schema.get("required", [])
    for prop, sub in sorted(schema.get("properties", {}).items()):
        words = flags(sub, prop in required, defaults.get((name, prop)))
        lines.append(" ".join(["", prop, type_of(sub), *words]))
        descriptions.append(sub.get("description", ""))


def main():
    wheel, spec_dir = sys.argv[1:]
    definitions = json.loads(zipfile.ZipFile(wheel).read(MEMBER))
    definitions = definitions.get("$defs") or definitions["definitions"]
    defaults = defaults_of(spec_dir)
    lines, descriptions = [], []
    for name, schema in sorted(definitions.items()):
        definition(name, schema, defaults, lines, descriptions)
    here = pathlib.Path(__file__).parent
    here.joinpath("structure.txt").write_text("\n".join(lines) + "\n")
    text = "\n".join(json.dumps(d, ensure_ascii=False)[1:-1] for d in descriptions) + "\n"
    here.joinpath("descriptions.z").write_bytes(zlib.compress(text.encode(), 9))


if __name__ == "__main__":
    main()
