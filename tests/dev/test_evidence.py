"""The tables of the comparison: means, spread, and differences of seeds that pair."""

import json
from dataclasses import asdict

from dev.evidence import RECORDS, Run, table


def test_the_tables_pair_the_seeds_of_both_starts(tmp_path, monkeypatch):
    monkeypatch.setattr('dev.evidence.RECORDS', tmp_path)
    scores = {
        ('random', 0): 0.3, ('random', 1): 0.5, ('random', 2): 0.9,
        ('pretrained', 0): 0.5, ('pretrained', 1): 0.6,
    }  # fmt: skip
    for setting, score in scores.items():
        run = Run('bccd', 'mobilenet-v2', *setting, curve=[(4, 0.1), (8, score)])
        run.record.write_text(json.dumps(asdict(run)))
    rows = table().splitlines()
    assert '| bccd, mobilenet-v2 | 0.567 ± 0.306 (3) | 0.550 ± 0.071 (2) |' in rows
    label = 'bccd, mobilenet-v2: pretrained - random'
    assert f'| {label} | +0.150 ± 0.071 (2) | better |' in rows


def test_the_results_page_has_the_tables_of_the_records(root, monkeypatch):
    monkeypatch.setattr('dev.evidence.RECORDS', root / RECORDS)
    assert table() in (root / 'docs' / 'results.md').read_text()
