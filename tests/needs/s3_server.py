"""A server of S3's protocol with the files below FOLDER in a bucket, until its input ends; prints its port.

Of each line of its input, a prefix, a tab and a folder, it writes what lies below the prefix into the folder, and says the prefix when it is done."""
import os
import sys
from pathlib import Path

# Whatever stands in the environment: nothing here is anybody's account.
os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1")

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
port = server.get_host_and_port()[1]
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
client.create_bucket(Bucket="bucket")
folder = Path(sys.argv[1])
for file in sorted(path for path in folder.rglob("*") if path.is_file()):
    client.upload_file(str(file), "bucket", f"set/{file.relative_to(folder)}")
print(port, flush=True)
for line in sys.stdin:
    prefix, into = line.rstrip("\n").split("\t")
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=f"{prefix}/"):
        for entry in page.get("Contents", []):
            path = Path(into, entry["Key"][len(prefix) + 1 :])
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file("bucket", entry["Key"], str(path))
    print(prefix, flush=True)
server.stop()
