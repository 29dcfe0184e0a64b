"""Makes results/metric/jiwer.json: random pairs of transcripts, and jiwer's counts for them.

    pip install jiwer==4.0.0
    python tests/wer_reference.py

Half of the pairs are a sentence with random edits, so that alignments are mostly unique. In the other half
both are drawn from few words, so that many alignments cost the same. jiwer rejects empty references, so
none is empty. Each line of the file is [reference, hypothesis, words, characters]; the last two are
[substitutions, deletions, insertions].
"""

import importlib.metadata
import json
import pathlib
import random

import jiwer

PAIRS = 1000
LETTERS = "ABE'"


def word(draws):
    return "".join(draws.choices(LETTERS, k=draws.randint(1, 3)))


def edited(draws, words):
    found = []
    for each in words:
        what = draws.random()
        if what < 0.15:
            continue
        found.append(word(draws) if what < 0.3 else each)
        if what > 0.85:
            found.append(word(draws))
    return found


def pair(number):
    draws = random.Random(number)
    reference = [word(draws) for _ in range(draws.randint(1, 12))]
    if number % 2:
        hypothesis = edited(draws, reference)
    else:
        few = draws.sample(reference, min(3, len(reference)))
        reference = draws.choices(few, k=draws.randint(1, 12))
        hypothesis = draws.choices(few, k=draws.randint(0, 12))
    return " ".join(reference), " ".join(hypothesis)


def counts(found):
    return [found.substitutions, found.deletions, found.insertions]


def main():
    pairs = [pair(number) for number in range(PAIRS)]
    lines = []
    for reference, hypothesis in pairs:
        words = jiwer.process_words(reference, hypothesis)
        characters = jiwer.process_characters(reference, hypothesis)
        lines.append(json.dumps([reference, hypothesis, counts(words), counts(characters)]))
    references, hypotheses = map(list, zip(*pairs))
    made = {
        "jiwer": importlib.metadata.version("jiwer"),
        "wer": jiwer.wer(references, hypotheses),
        "cer": jiwer.cer(references, hypotheses),
    }
    head = json.dumps(made)[:-1]
    out = pathlib.Path(__file__).parent.parent / "results" / "metric" / "jiwer.json"
    out.write_text(f'{head}, "pairs": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
