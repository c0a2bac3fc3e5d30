"""The demo, where its training does not come to its end."""

import pytest

from mmghost.engine import demo


@pytest.mark.parametrize('words', ['interrupted; --resume x.pth goes on from here', ''])
def test_a_stopped_demo_names_the_command_that_resumes(
    tmp_path, root, monkeypatch, words
):
    """The demo has no ``--resume``, of which the hook of its training speaks."""

    def stop(runner):
        raise KeyboardInterrupt(words)

    monkeypatch.setattr(demo, 'make_shapes', lambda *args, **kwargs: None)
    monkeypatch.setattr(demo, 'prepare_train', lambda cfg: None)
    monkeypatch.setattr(demo, 'run_train', stop)
    with pytest.raises(KeyboardInterrupt) as stopped:
        demo.run_demo(root, tmp_path)
    said = str(stopped.value)
    assert said.startswith(words)
    config = tmp_path / 'training' / 'retinanet_ghostnetv2-1.0_shapes.py'
    assert (f'python tools/train.py {config};' in said) is bool(words)
