"""Straightforward Python programs that do what the builders of datasets do, to be timed beside them.

They are not Vyasa's scripts, which are under another licence: they are written from a description of what
those do. Asked {"builder", "input", "output", "lexicon": {"hard": [...], "soft": [...]}} as a line of JSON,
it reads and writes the files (at most "most" records) and answers {"records", "seconds", "wall"}: seconds of the processor,
and seconds of the clock.
"""
import hashlib
import itertools
import json
import re
import sys
import time
import unicodedata


def lines(path):
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(record, dict):
                yield record


def pattern(words):
    return re.compile(r"\b(" + "|".join(map(re.escape, words)) + r")\b", re.IGNORECASE)


def tone_vyasa(ask):
    severity = {word.lower(): "hard" for word in ask["lexicon"]["hard"]}
    severity |= {word.lower(): "soft" for word in ask["lexicon"]["soft"]}
    terms = pattern(severity)
    for block in lines(ask["input"]):
        text = block.get("content", "")
        flags = [severity.get(found.group(0).lower(), "soft") for found in terms.finditer(text)]
        yield {"text": text, "label": "sensational" if "hard" in flags else "neutral", "job_id": block.get("job_id"),
               "block_id": block.get("block_id"), "rigor_level": block.get("rigor_level", "exploratory")}


def tone_each(ask):
    """As the script does it: the lexicon is read from its file for each block."""
    import yaml

    with open(ask["output"] + ".yaml", "w", encoding="utf-8") as file:
        yaml.safe_dump({"hard_ban": ask["lexicon"]["hard"], "soft_ban": ask["lexicon"]["soft"]}, file)
    for block in lines(ask["input"]):
        with open(ask["output"] + ".yaml", encoding="utf-8") as file:
            config = yaml.safe_load(file)
        severity = {word.lower(): "hard" for word in config["hard_ban"]}
        severity |= {word.lower(): "soft" for word in config["soft_ban"]}
        text = block.get("content", "")
        flags = [severity.get(found.group(0).lower(), "soft") for found in pattern(severity).finditer(text)]
        yield {"text": text, "label": "sensational" if "hard" in flags else "neutral", "job_id": block.get("job_id"),
               "block_id": block.get("block_id"), "rigor_level": block.get("rigor_level", "exploratory")}


def precision_vyasa(ask):
    for table in lines(ask["input"]):
        flags = table.get("precision_flags") or [{}]
        for flag in flags:
            column = flag.get("column")
            rows = table.get("rows")
            rows = rows if isinstance(rows, list) else []
            values = [str(row[column]) for row in rows if isinstance(row, dict) and column in row]
            yield {"table_id": table.get("table_id"), "column": column, "issue": flag.get("issue"), "values": values,
                   "rigor_level": table.get("rigor_level", "exploratory")}


def tone(ask):
    fold = lambda text: unicodedata.normalize("NFC", text).casefold()  # noqa: E731
    severity = {fold(word): "hard" for word in ask["lexicon"]["hard"]}
    severity |= {fold(word): "soft" for word in ask["lexicon"]["soft"]}
    terms = pattern(sorted(severity, key=len, reverse=True))
    for block in lines(ask["input"]):
        text = block.get("content", block.get("text"))
        hard = any(severity[found.group(0)] == "hard" for found in terms.finditer(fold(text)))
        label = "sensational" if hard else "neutral"
        yield {"text": text, "label": label, "job_id": block.get("job_id"), "block_id": block.get("block_id"),
               "rigor_level": block.get("rigor_level", "exploratory"), "expected_output": label}


def decimals(value):
    text = str(value).strip().replace(",", "")
    try:
        float(text)
    except ValueError:
        return None
    if isinstance(value, bool) or text.lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
        return None
    return len(text.lower().partition("e")[0].partition(".")[2])


def precision(ask):
    for table in lines(ask["input"]):
        rows = [row for row in table.get("rows") or [] if isinstance(row, dict)]
        columns = dict.fromkeys(column for row in rows for column in row)
        found = False
        for column in columns:
            values = [row[column] for row in rows if column in row]
            counts = [count for count in map(decimals, values) if count is not None]
            issues = ["EXCESSIVE_PRECISION"] if any(count > 2 for count in counts) else []
            if len({count for count in counts if count}) > 1:
                issues.append("INCONSISTENT_DECIMALS")
            for issue in issues:
                found = True
                yield {"table_id": table.get("table_id"), "column": column, "issue": issue,
                       "values": [str(value) for value in values], "expected_output": issue,
                       "rigor_level": table.get("rigor_level", "exploratory")}
        if not found:
            yield {"table_id": table.get("table_id"), "column": None, "issue": "clean", "values": [],
                   "expected_output": "clean", "rigor_level": table.get("rigor_level", "exploratory")}


def items(ask):
    for record in lines(ask["input"]):
        text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        yield {"id": hashlib.sha256(text.encode()).hexdigest(), "data": record}


BUILDERS = {"tone": tone, "precision": precision, "tone, as Vyasa": tone_vyasa, "tone, lexicon for each": tone_each,
            "precision, as Vyasa": precision_vyasa, "items": items}

for line in sys.stdin:
    ask = json.loads(line)
    began, cpu, count = time.perf_counter(), time.process_time(), 0
    with open(ask["output"], "w", encoding="utf-8") as output:
        for record in itertools.islice(BUILDERS[ask["builder"]](ask), ask["most"]):
            output.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    print(json.dumps({"records": count, "seconds": cpu, "wall": wall}), flush=True)
