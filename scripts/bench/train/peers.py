"""Training in PyTorch: the loop that most people write, and tuned ones.

    scripts/bench/train/peers.py NAME RUN f32|bf16 STEPS     tokens/s, on the cores that the process may run on

`plain` is soft attention where every caption has its own copy of the image's features and projects it itself, one LSTMCell step
follows another, rows that have ended drop out. The tuned loops project an image once for all its captions, and multiply words
and outputs for all steps at once; their LSTM is a fused `nn.LSTM` where no step needs what attention saw. `compiled_…` are the
same through `torch.compile`. bf16 is autocast's.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from examples import Examples
from machine import threads
from sizes import SIZES

# Steps before those that count; what is compiled meets all its shapes in more of them.
WARM, WARM_COMPILED = 3, 12
E, FEATURE, H, A, DROPOUT = SIZES.values()


class Plain(nn.Module):
    def __init__(self, channels, vocabulary):
        super().__init__()
        self.feature, self.key, self.query = nn.Linear(channels, FEATURE), nn.Linear(FEATURE, A), nn.Linear(H, A)
        self.energy, self.gate = nn.Linear(A, 1), nn.Linear(H, 1)
        self.initial_hidden, self.initial_cell = nn.Linear(FEATURE, H), nn.Linear(FEATURE, H)
        self.embedding, self.cell = nn.Embedding(vocabulary, E), nn.LSTMCell(E + FEATURE, H)
        self.output_hidden, self.output_context = nn.Linear(H, E), nn.Linear(FEATURE, E)
        self.output, self.dropout = nn.Linear(E, vocabulary), nn.Dropout(DROPOUT)
        self.vocabulary = vocabulary

    def forward(self, grids, captions):
        rows = sorted(((ids, grid) for grid, own in zip(grids, captions) for ids in own), key=lambda row: -len(row[0]))
        lengths = [len(ids) - 1 for ids, _ in rows]
        grid = torch.from_numpy(np.stack([grid for _, grid in rows])).float()
        words = torch.zeros(len(rows), max(lengths), dtype=torch.long)
        target = torch.zeros_like(words)
        for place, (ids, _) in enumerate(rows):
            words[place, : len(ids) - 1] = torch.tensor(ids[:-1])
            target[place, : len(ids) - 1] = torch.tensor(ids[1:])
        regions = self.dropout(torch.relu(self.feature(grid)))
        words = self.dropout(self.embedding(words))
        mean = regions.mean(1)
        hidden, cell = torch.tanh(self.initial_hidden(mean)), torch.tanh(self.initial_cell(mean))
        scores = torch.zeros(len(grid), max(lengths), self.vocabulary)
        for step in range(max(lengths)):
            rows = sum(length > step for length in lengths)
            hidden, cell = hidden[:rows], cell[:rows]
            keys = self.key(regions[:rows])
            energy = self.energy(torch.tanh(keys + self.query(hidden).unsqueeze(1))).squeeze(2)
            context = (regions[:rows] * torch.softmax(energy, 1).unsqueeze(2)).sum(1)
            context = torch.sigmoid(self.gate(hidden)) * context
            word = words[:rows, step]
            hidden, cell = self.cell(torch.cat([word, context], 1), (hidden, cell))
            joined = torch.tanh(word + self.output_hidden(self.dropout(hidden)) + self.output_context(context))
            scores[:rows, step] = self.output(self.dropout(joined)).float()
        return F.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=0)


def padded(captions):
    """Words to read and words to write, both `[images, captions, steps]`, 0 where there is none."""
    shape = len(captions), max(map(len, captions)), max(len(ids) - 1 for own in captions for ids in own)
    words, target = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for image, own in enumerate(captions):
        for row, ids in enumerate(own):
            words[image, row, : len(ids) - 1] = ids[:-1]
            target[image, row, : len(ids) - 1] = ids[1:]
    return torch.from_numpy(words), torch.from_numpy(target)


class Lstm(nn.Module):
    def __init__(self, channels, vocabulary):
        super().__init__()
        self.feature = nn.Linear(channels, FEATURE)
        self.initial_hidden, self.initial_cell = nn.Linear(FEATURE, H), nn.Linear(FEATURE, H)
        self.embedding, self.lstm = nn.Embedding(vocabulary, E), nn.LSTM(E + FEATURE, H, batch_first=True)
        self.output, self.dropout = nn.Linear(H, vocabulary), nn.Dropout(DROPOUT)

    def forward(self, grids, captions):
        words, target = padded(captions)
        target = target.flatten()
        written = target.nonzero().squeeze(1)
        return self.loss(torch.from_numpy(grids).float(), words, written, target[written])

    def loss(self, grid, words, written, target):
        feature = self.dropout(torch.relu(self.feature(grid.mean(1))))
        initial = self.initial_hidden(feature), self.initial_cell(feature)
        state = tuple(torch.tanh(one).repeat_interleave(words.shape[1], 0).unsqueeze(0) for one in initial)
        feature = feature[:, None, None].expand(-1, *words.shape[1:], -1)
        inputs = torch.cat([self.dropout(self.embedding(words)), feature], 3).flatten(0, 1)
        hidden, _ = self.lstm(inputs, state)
        scores = self.output(self.dropout(hidden.flatten(0, 1)[written]))
        return F.cross_entropy(scores.float(), target)

    def compile(self):
        self.loss = torch.compile(self.loss, dynamic=True)


class SoftAttention(nn.Module):
    def __init__(self, channels, vocabulary):
        super().__init__()
        self.feature, self.key, self.query = nn.Linear(channels, FEATURE), nn.Linear(FEATURE, A), nn.Linear(H, A)
        self.energy, self.gate = nn.Linear(A, 1), nn.Linear(H, 1)
        self.initial_hidden, self.initial_cell = nn.Linear(FEATURE, H), nn.Linear(FEATURE, H)
        # The LSTM's product in two parts: words are known beforehand, context and state are not.
        self.of_word, self.of_state = nn.Linear(E, 4 * H), nn.Linear(FEATURE + H, 4 * H, bias=False)
        self.embedding = nn.Embedding(vocabulary, E)
        self.output_hidden, self.output_context = nn.Linear(H, E), nn.Linear(FEATURE, E)
        self.output, self.dropout = nn.Linear(E, vocabulary), nn.Dropout(DROPOUT)

    def forward(self, grids, captions):
        words, target = padded(captions)
        # Captions are longest first, so at each step those that any image has left stand in front.
        left = [int(one) for one in (target > 0).any(0).sum(0)]
        regions, keys, hidden, cell, words, inputs = self.encode(torch.from_numpy(grids).float(), words)
        hiddens, contexts = [], []
        for step, rows in enumerate(left):
            # Contiguous, so that one compiled step fits all.
            own = (one.contiguous() for one in (hidden[:, :rows], cell[:, :rows], inputs[:, :rows, step]))
            hidden, cell, context = self.step(regions, keys, *own)
            hiddens.append(hidden.flatten(0, 1))
            contexts.append(context.flatten(0, 1))
        walked = ([of[:, :rows, step].flatten(0, 1) for step, rows in enumerate(left)] for of in (words, target))
        words, target = map(torch.cat, walked)
        written = target.nonzero().squeeze(1)
        hidden, context = torch.cat(hiddens)[written], torch.cat(contexts)[written]
        return self.score(words[written], hidden, context, target[written])

    def encode(self, grid, words):
        regions = self.dropout(torch.relu(self.feature(grid)))
        mean = regions.mean(1)
        initial = self.initial_hidden(mean), self.initial_cell(mean)
        state = [torch.tanh(one).unsqueeze(1).expand(-1, words.shape[1], -1) for one in initial]
        words = self.dropout(self.embedding(words))
        return regions, self.key(regions), *state, words, self.of_word(words)

    def step(self, regions, keys, hidden, cell, word):
        energy = self.energy(torch.tanh(keys.unsqueeze(1) + self.query(hidden).unsqueeze(2))).squeeze(3)
        context = torch.sigmoid(self.gate(hidden)) * torch.bmm(torch.softmax(energy, 2), regions)
        let_in, forget, candidate, let_out = (word + self.of_state(torch.cat([context, hidden], 2))).chunk(4, 2)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(let_in) * torch.tanh(candidate)
        return torch.sigmoid(let_out) * torch.tanh(cell), cell, context

    def score(self, words, hidden, context, target):
        joined = torch.tanh(words + self.output_hidden(self.dropout(hidden)) + self.output_context(context))
        return F.cross_entropy(self.output(self.dropout(joined)).float(), target)

    def compile(self):
        # What a batch needs once is a few products, and not worth the time that compiling it takes.
        self.step, self.score = torch.compile(self.step, dynamic=True), torch.compile(self.score, dynamic=True)


PEERS = {
    "plain": Plain,
    "tuned_lstm": Lstm,
    "compiled_lstm": Lstm,
    "tuned_soft_attention": SoftAttention,
    "compiled_soft_attention": SoftAttention,
}


def tokens_per_second(name, examples, precision, steps):
    torch.set_num_threads(threads())
    torch.manual_seed(1)
    decoder = PEERS[name](examples.grids.shape[2], examples.vocabulary)
    warm = WARM
    if name.startswith("compiled"):
        warm = WARM_COMPILED
        decoder.compile()
    if name == "plain":
        optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-3)
    else:
        optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-3, fused=True)
    random = np.random.default_rng(1)
    start, done = 0.0, 0
    for number in range(warm + steps):
        if number == warm:
            start, done = time.perf_counter(), 0
        grids, captions = examples.batch(random)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = decoder(grids, captions)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimizer.step()
        done += sum(len(ids) - 1 for own in captions for ids in own)
    return done / (time.perf_counter() - start)


if __name__ == "__main__":
    name, run, precision, steps = sys.argv[1:]
    print(tokens_per_second(name, Examples(Path(run)), precision, int(steps)))
