"""What a backbone promises the people who use it, written once for all backbones.

``backbones.py`` names who is examined (ours, and peers for comparison), ``promises.py``
holds one function for each promise, ``test_ours.py`` asserts all of them for ours, and
``python -m tests.contract.table`` prints and writes the whole table.
"""
