"""What KServe's client for Python does, which is built on httpx: use_kserve.py HTTP prints whether the model is ready."""

import sys

import httpx

reply = httpx.get(sys.argv[1] + "/v1/models/caption")
assert reply.status_code == 200 and reply.json()["name"] == "caption", reply.text
assert httpx.get(sys.argv[1] + "/v2/models/caption/ready").json()["ready"] is True
print(reply.json().get("ready"))
