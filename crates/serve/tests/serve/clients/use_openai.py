"""What a user of OpenAI's client does to see what there is: use_openai.py HTTP prints the first model."""

import sys

import openai

(model,) = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="any").models.list()
print(model.id)
