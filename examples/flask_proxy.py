"""A Flask app with captions: it hands each upload on to the server, which does the work.

    pip install flask requests
    CAPTIONS=http://127.0.0.1:8501 flask --app examples/flask_proxy.py run
    curl -F file=@photo.jpg http://127.0.0.1:5000/describe
"""

import os

import requests
from flask import Flask, jsonify, request

SERVER = os.environ.get("CAPTIONS", "http://127.0.0.1:8501")

app = Flask(__name__)


@app.post("/describe")
def describe():
    if "file" not in request.files:
        return jsonify(error="send the photo as the form field file"), 400
    photo = request.files["file"]
    try:
        answer = requests.post(f"{SERVER}/predict", files={"file": (photo.filename, photo.stream)}, timeout=60)
    except requests.ConnectionError:
        return jsonify(error=f"no caption server at {SERVER}"), 502
    # Its errors say what is wrong with the photo: they are the user's to read.
    return jsonify(answer.json()), answer.status_code
