"""OpenAI's own client, as it is installed: use_openai.py SERVER PHOTO prints the caption that every way gives."""

import base64
import json
import sys

import openai

server, photo = sys.argv[1:]
client = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)

(model,) = client.models.list().data
assert model.id == "caption" and model.created > 0, model
assert client.models.retrieve("caption").id == "caption"

with open(photo, "rb") as file:
    address = f"data:image/png;base64,{base64.b64encode(file.read()).decode()}"
question = {"type": "text", "text": "What is in this photo?"}
image = {"type": "image_url", "image_url": {"url": address, "detail": "low"}}
together = [{"role": "user", "content": [question, image]}]


def complete(messages, **settings):
    return client.chat.completions.create(model="caption", messages=messages, **settings)


whole = complete(together, temperature=0.2, max_tokens=300)
caption = whole.choices[0].message.content
assert whole.choices[0].finish_reason == "stop" and whole.object == "chat.completion", whole
assert whole.usage.completion_tokens == len(caption.split()), whole
apart = [
    {"role": "system", "content": "You describe photos."},
    {"role": "user", "content": [image]},
    {"role": "user", "content": "What is in this photo?"},
]
assert complete(apart).choices[0].message.content == caption

chunks = list(complete(together, stream=True, stream_options={"include_usage": True}))
text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
assert text == caption and chunks[-1].usage.total_tokens > 0, chunks
assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop", chunks

beams = complete(together, n=3, logprobs=True).choices
assert [choice.index for choice in beams] == list(range(len(beams))) and len(beams) > 1, beams
assert beams[0].message.content == caption and len({choice.message.content for choice in beams}) == len(beams)
tokens = beams[0].logprobs.content
assert [token.token for token in tokens] == caption.split() and all(token.logprob < 0 for token in tokens), tokens

short = complete(together, max_completion_tokens=2).choices[0]
assert len(short.message.content.split()) == 2 and short.finish_reason == "length", short
drawn = [complete(together, temperature=1.5, seed=seed).choices[0].message.content for seed in [1, 1, 2, 3, 4]]
assert drawn[0] == drawn[1] and len(set(drawn)) > 1, drawn

schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
formats = {"type": "json_schema", "json_schema": {"name": "photo", "schema": schema, "strict": True}}
filled = complete(together, response_format=formats).choices[0].message.content
assert json.loads(filled) == {"title": caption}, filled

if hasattr(client, "responses"):
    item = {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "What is in this photo?"},
            {"type": "input_image", "image_url": address, "detail": "low"},
        ],
    }
    answer = client.responses.create(model="caption", input=[item], max_output_tokens=100)
    assert (answer.output_text, answer.status) == (caption, "completed"), answer
    with client.responses.stream(model="caption", input=[item]) as events:
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert text == caption and events.get_final_response().output_text == caption
    cut = client.responses.create(model="caption", input=[item], max_output_tokens=2)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens"), cut

fetch = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}}]}]
for wrong, kind, says in [
    (lambda: client.chat.completions.create(model="gpt", messages=together), openai.NotFoundError, "no model"),
    (lambda: complete(fetch), openai.BadRequestError, "the server fetches none"),
    (lambda: complete([{"role": "user", "content": "hello"}]), openai.BadRequestError, "describes photos"),
]:
    try:
        wrong()
    except kind as error:
        assert says in error.body["message"] and error.type == "invalid_request_error", error
    else:
        raise AssertionError(kind)

print(caption)
