"""Mistakes that a type checker must find: every line that is marked, and no other."""

from bertriton import Client

with Client("localhost:8001") as client:
    client.classify(1)  # mistake
    client.classify([b"bytes"])  # mistake
    client.classify("text", topk=1)  # mistake
    client.classify("text", truncation="middle")  # mistake
    client.classify("text", timeout="1")  # mistake
    client.with_options(url="elsewhere")  # mistake
    client.classify("text").probability  # mistake  # noqa: B018
Client(timeout="1")  # mistake
