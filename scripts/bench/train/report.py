"""What was measured, as tables."""

import machine
from sizes import flop_of_token

# Those whose FLOP are counted, and what each decoder of ours is beside.
SOFT = ["soft_attention", "plain", "tuned_soft_attention", "compiled_soft_attention"]
BESIDE = {"lstm": ["tuned_lstm", "compiled_lstm"], "soft_attention": SOFT[1:]}


def plural(cores):
    return "1 core" if cores == 1 else f"{cores} cores"


def unit_of(name):
    return "images/s, each sampled 5 times" if name == "self_critical" else "tokens/s"


def table(bench, names):
    """The rates, their shares of the peak where FLOP are counted, and ours beside PyTorch's."""
    columns = [(cores, precision) for cores in bench.places() for precision in machine.precisions()]
    lines = [name for name in names if any(what[0] == name for what in bench.rates)]
    if lines:
        print(f"\n{'':42}" + "".join(f"{plural(cores)} {precision}".rjust(14) for cores, precision in columns))
    for name in lines:
        line(f"{name}, {unit_of(name).partition(',')[0]}", [bench.rates.get((name, *column)) for column in columns], "{:.0f}")
    flop = flop_of_token(bench.examples)
    for name in filter(SOFT.__contains__, lines):
        rates = [(bench.rates.get((name, *column)), bench.peaks[column]) for column in columns]
        line(f"{name}, share of the peak", [rate and rate * flop / peak for rate, peak in rates], "{:.0%}")
    for name, peers in BESIDE.items():
        for peer in peers:
            pairs = [(bench.rates.get((name, *column)), bench.rates.get((peer, *column))) for column in columns]
            if any(all(pair) for pair in pairs):
                line(f"{name} / {peer}", [ours / theirs if ours and theirs else None for ours, theirs in pairs], "{:.2f}")
    print(f"\nthe peak is that of the same cores and precision; a token of soft attention takes {flop / 1e6:.1f} MFLOP")


def line(name, values, form):
    print(f"{name:42}" + "".join(("" if value is None else form.format(value)).rjust(14) for value in values))


def scaling(rates, busy):
    """Ways to use two cores beside one of them, and what is left of the rate among busy processes."""
    if "among" not in rates:
        return
    one, two = rates["alone", 1], rates["alone", 2]
    # The system shares its time among threads: ours are two of those that want the cores.
    share = two * 2 / (2 + busy)
    print(f"two trainings side by side / one core (the room) {rates['pair'] / one:.2f}")
    print(f"one training on two cores / one core             {two / one:.2f}")
    print(f"two processes under torchrun / one core          {rates['shared'] / one:.2f}")
    print(f"among {busy} busy processes / its share               {rates['among'] / share:.2f}")
    print(f"  its share: two threads of {2 + busy}, so {2 / (2 + busy):.0%} of {two:.0f} tokens/s on two cores alone")
