"""The table of the comparison: means, spread, and gains of seeds that pair."""

import json
from dataclasses import asdict

from dev.evidence import Run, table


def test_the_table_pairs_the_seeds_of_both_starts(tmp_path, monkeypatch):
    monkeypatch.setattr('dev.evidence.RECORDS', tmp_path)
    scores = {('random', 0): 0.3, ('random', 1): 0.5, ('pretrained', 1): 0.6}
    runs = [Run('bccd', 'mobilenet-v2', *key) for key in scores]
    for run, score in zip(runs, scores.values()):
        run.curve = [(4, 0.1), (8, score)]
        run.record.write_text(json.dumps(asdict(run)))
    cells = [cell.strip() for cell in table(runs).splitlines()[-1].split('|')[1:-1]]
    assert cells == ['bccd', 'mobilenet-v2', '0.4 ± 0.141 (2)', '0.6 (1)', '0.1 (1)']
