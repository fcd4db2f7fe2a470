"""Lets schemathesis send JSON lines: the OpenAPI document has the schema of one line."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/jsonl")
def json_lines(context, line):
    return {"data": line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"}
