"""Teaches schemathesis to write JSON line by line: the document gives the schema of a line."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/jsonl")
def json_lines(context, line):
    return {"data": line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"}
