#!/usr/bin/env python3
"""Figures of scikit-learn over 10,000 rows, for the test `figures_are_those_of_scikit_learn`.

    python -m venv venv && venv/bin/pip install scikit-learn==1.9.1
    venv/bin/python analysis/tests/scikit_learn.py > analysis/tests/scikit_learn.json
"""

import json

import numpy
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, precision_recall_curve, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

LABELS, ROWS, BINS, PRECISION, MIN_TAGS = 20, 10_000, 10, 0.75, 10
state = 0


def below(end):
    """The same numbers as `Numbers` of the test."""
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return (state >> 33) % end


def drawn(several):
    """The truth and the tags, best first, of every row: as `drawn` of the test makes them."""
    global state
    state = 7
    for _ in range(ROWS):
        labels = [below(LABELS)]
        if several:
            labels += [below(LABELS) for _ in range(below(3))]
        tags = {}
        for place in range(5):
            is_right = below(10) < 7 and place < len(labels)
            label = labels[place] if is_right else below(LABELS)
            score = 500 + below(501) if is_right else below(901)
            score = numpy.float32(score) / numpy.float32(1000)
            tags.setdefault(label, score)
        yield labels, sorted(tags.items(), key=lambda tag: (-tag[1], tag[0]))


def averages(truth, predicted):
    found = {}
    for average in ["macro", "weighted", "micro"]:
        scores = precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        found[average] = dict(zip(["precision", "recall", "f1"], map(float, scores[:3])))
    return found


def by_label(truth, predicted):
    columns = precision_recall_fscore_support(truth, predicted, average=None, zero_division=0)
    rows = []
    for label, (precision, recall, f1, support) in enumerate(zip(*columns)):
        rows.append({
            "label": f"label {label:02}",
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "support": int(support),
        })
    return rows


def calibration(right, scores):
    right, scores = numpy.array(right), numpy.array(scores, dtype=numpy.float64)
    true, mean = calibration_curve(right, scores, n_bins=BINS)
    tags = numpy.bincount(numpy.searchsorted(numpy.linspace(0, 1, BINS + 1)[1:-1], scores), minlength=BINS)
    tags = tags[tags > 0]
    bins = [
        {"tags": int(number), "mean_score": float(score), "right": float(share)}
        for number, score, share in zip(tags, mean, true)
    ]
    return {"ece": float(numpy.sum(numpy.abs(true - mean) * tags) / len(scores)), "bins": bins}


def thresholds(rows):
    """The lowest score of each label from which the share of right tags reaches PRECISION."""
    found = []
    for label in range(LABELS):
        tags = [(score, label in labels) for labels, tags in rows for name, score in tags if name == label]
        scores, right = zip(*tags)
        precision, _, edges = precision_recall_curve(right, scores)
        good = [
            edge
            for share, edge in zip(precision, edges)
            if share >= PRECISION and sum(score >= edge for score in scores) >= MIN_TAGS
        ]
        threshold = min(good) if good else None
        kept = [is_right for score, is_right in tags if threshold is not None and score >= threshold]
        found.append({
            "label": f"label {label:02}",
            "tags": len(tags),
            "right": sum(right),
            "threshold": None if threshold is None else float(threshold),
            "kept": len(kept),
            "kept_right": sum(kept),
        })
    return {"precision": PRECISION, "labels": found}


def best():
    rows = list(drawn(False))
    truth = [labels[0] for labels, _ in rows]
    predicted = [tags[0][0] for _, tags in rows]
    right = [label == name for label, name in zip(truth, predicted)]
    return {
        "top_1": accuracy_score(truth, predicted),
        "top_5": sum(any(name == labels[0] for name, _ in tags[:5]) for labels, tags in rows) / ROWS,
        "averages": averages(truth, predicted),
        "labels": by_label(truth, predicted),
        "calibration": calibration(right, [tags[0][1] for _, tags in rows]),
        "thresholds": thresholds(rows),
    }


def several():
    rows = list(drawn(True))
    binarizer = MultiLabelBinarizer(classes=range(LABELS))
    truth = binarizer.fit_transform([labels for labels, _ in rows])
    predicted = binarizer.transform([[name for name, _ in tags] for _, tags in rows])
    tags = [(name in labels, score) for labels, tags in rows for name, score in tags]
    return {
        "exact": accuracy_score(truth, predicted),
        "averages": averages(truth, predicted),
        "labels": by_label(truth, predicted),
        "calibration": calibration(*zip(*tags)),
        "thresholds": thresholds(rows),
    }


print(json.dumps({"best": best(), "all": several()}, indent=1))
