"""The tables of the comparison: means, spread, and differences of seeds that pair."""

import json
from dataclasses import asdict

from dev.evidence import OURS, RECORDS, Run, table


def test_the_tables_pair_the_seeds_of_both_starts(tmp_path, monkeypatch):
    monkeypatch.setattr('dev.evidence.RECORDS', tmp_path)
    scores = {
        ('mobilenet-v2', 'random'): [0.30, 0.36, 0.34],
        ('mobilenet-v2', 'pretrained'): [0.50, 0.53, 0.53],
        (OURS, 'pretrained'): [0.51, 0.54, 0.50],
        (OURS, 'random'): [0.33, 0.35],
    }
    for (network, init), finals in scores.items():
        for seed, final in enumerate(finals):
            run = Run('bccd', network, init, seed, curve=[(4, 0.1), (8, final)])
            run.record.write_text(json.dumps(asdict(run)))
    rows = table().splitlines()
    assert '| bccd, mobilenet-v2 | 0.333 ± 0.031 (3) | 0.520 ± 0.017 (3) |' in rows
    label = 'bccd, mobilenet-v2: pretrained - random'
    assert f'| {label} | +0.187 ± 0.015 (3) | better, p 0.0022 |' in rows
    label = f'bccd, pretrained: {OURS} - mobilenet-v2'
    assert f'| {label} | -0.003 ± 0.023 (3) | tie, p 0.83 |' in rows
    label = f'bccd, random: {OURS} - mobilenet-v2'
    assert f'| {label} | +0.010 ± 0.028 (2) | too few seeds |' in rows


def test_the_results_page_has_the_tables_of_the_records(root, monkeypatch):
    monkeypatch.setattr('dev.evidence.RECORDS', root / RECORDS)
    assert table() in (root / 'docs' / 'results.md').read_text()
