"""The sizes that all contenders have, and what a token of soft attention takes."""

SIZES = dict(embedding_size=256, feature_size=384, hidden_size=384, attention_size=128, dropout=0.5)


def of_decoder(decoder):
    """Settings of our decoders that the PyTorch loops know, too; others are as the config has them."""
    sizes = dict(SIZES)
    if decoder == "lstm":
        del sizes["attention_size"]
    return sizes if decoder in {"lstm", "soft_attention", "hard_attention"} else {}


def flop_of_token(examples):
    """FLOP of the matrix products of soft attention in training, for one of the examples' tokens: the least there is to do.

    With R regions of C channels, sizes e, f, h, a, and V words, a product of m × k by k × n takes 2mkn. Forward, an image takes
    2 (R C f + R f a + 2 f h): its regions, their keys, the two states to begin with. A token takes
    2 (h a + R a + R f + h + 4 h (e + f + h) + h e + f e + e V): query, energies, weighted sum, gate, LSTM, the output layers.
    Backward, each takes twice as much, for the gradients of both its factors; but nobody asks for that of the grid, R C f.
    """
    _, regions, channels = examples.grids.shape
    e, f, h, a = (SIZES[f"{name}_size"] for name in ["embedding", "feature", "hidden", "attention"])
    grid = 2 * regions * channels * f
    image = grid + 2 * (regions * f * a + 2 * f * h)
    token = h * a + regions * a + regions * f + h + 4 * h * (e + f + h) + h * e + f * e + e * examples.vocabulary
    return 3 * 2 * token + (3 * image - grid) * len(examples) / examples.tokens()
