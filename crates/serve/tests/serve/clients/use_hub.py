"""What a user of huggingface_hub does: use_hub.py HTTP PHOTO prints the caption."""

import sys

from huggingface_hub import InferenceClient

url = sys.argv[1] + "/models/caption"
photo = open(sys.argv[2], "rb").read()
said = [
    InferenceClient(model=url).image_to_text(photo),
    InferenceClient().image_to_text(sys.argv[2], model=url),
    InferenceClient(token="hf_any").image_to_text(photo, model=url),
]
(text,) = {answer.generated_text for answer in said}
print(text)
