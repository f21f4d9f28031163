"""Writes protobuf.txt: for each API type, which protobuf field number carries which JSON field.

Usage: generate_protobuf.py KUBERNETES_SOURCE > protobuf.txt

One line per type: its name as in the OpenAPI definitions without the common prefix, then its fields. `3:name` is field 3; with
`*` instead of `:` a zero is kept, because the field can tell it from absence; `2>core.v1.VolumeSource` is a type whose fields
lie flat in the JSON object.
"""
import re, sys, glob, os

root = sys.argv[1]
files = glob.glob(f"{root}/staging/src/k8s.io/api/*/*/*types*.go")
files += glob.glob(f"{root}/staging/src/k8s.io/apimachinery/pkg/apis/meta/v1/*types*.go")
field = re.compile(r'^\s+(?:(\w+)\s+)?(\*?[\w.\[\]\*]+)\s+`json:"([^",]*)(,[^"]*)?"[^`]*?\sprotobuf:"\w+,(\d+),')
lines = {}
for path in sorted(files):
    package = ".".join(path.split("/")[-3:-1])
    current = None
    for line in open(path):
        start = re.match(r"^(?:type\s+|\t)(\w+) struct \{", line)
        if start:
            current = lines.setdefault(f"{package}.{start[1]}", [])
        elif line.startswith("}"):
            current = None
        elif current is not None and (m := field.match(line)):
            _, go, name, options, number = m.groups()
            if "inline" in (options or ""):
                go = go.lstrip("*").replace("metav1.", "meta.v1.").replace("v1.", "core.v1.") if "." in go else f"{package}.{go.lstrip('*')}"
                current.append(f"{number}>{go.replace('meta.core.v1.', 'meta.v1.')}")
            else:
                keep = go.startswith("*") or "omitempty" not in (options or "")
                current.append(f"{number}{'*' if keep else ':'}{name}")
for name in sorted(lines):
    if lines[name] and re.search(r"\.v[12]\.", name):
        print(name, *lines[name])
