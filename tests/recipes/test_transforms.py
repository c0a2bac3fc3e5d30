"""The ImageNet config sees the pixels that timm sees, in training and evaluation."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image
from timm.data import create_transform
from timm.data.random_erasing import RandomErasing


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Draw an RGB image with slopes, edges and noise."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    slopes = np.stack([rows * 0.7, columns * 0.6, (rows + columns) * 0.3], -1)
    edges = 60 * ((rows // 20 + columns // 30) % 2)[..., None]
    noise = generator.integers(0, 40, (height, width, 3))
    return np.clip(slopes + edges + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope='module')
def recipe(root) -> Config:
    return Config.fromfile(root / 'configs/_base_/datasets/imagenet.py')


@pytest.fixture(scope='module')
def timms_training():
    """The transforms that timm makes from the authors' flags and its defaults."""
    return create_transform(
        (3, 224, 224),
        is_training=True,
        use_prefetcher=True,
        color_jitter=0.4,
        auto_augment='rand-m9-mstd0.5',
        interpolation='random',
        re_prob=0.2,
        re_mode='pixel',
    ).transforms


def build(cfg: dict):
    import mmpretrain.datasets  # noqa: F401 - registers its transforms

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return TRANSFORMS.build(cfg)


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def test_training_has_the_steps_of_timm_in_its_order(recipe, timms_training):
    assert [step.type.split('.')[-1] for step in recipe.train_pipeline] == [
        'LoadImageFromFile',
        'RandomChoice',  # of the interpolation
        'RandomFlip',
        'TimmRandAugment',
        'PackInputs',
    ]
    # No color jitter: timm leaves it out where there is RandAugment.
    assert [type(step).__name__ for step in timms_training] == [
        'RandomResizedCropAndInterpolation',
        'RandomHorizontalFlip',
        'RandAugment',
        'MaybePILToTensor',
    ]
    assert timms_training[1].p == recipe.train_pipeline[2].prob == 0.5


def test_randaugment_is_the_one_of_timms_train_script(recipe, timms_training):
    ours, theirs = build(recipe.train_pipeline[3]), timms_training[2]
    image, changed = scene(48, 40), 0
    bgr = image[..., ::-1].copy()
    for seed in range(60):
        seed_all(seed)
        expected = np.asarray(theirs(Image.fromarray(image)))
        seed_all(seed)
        assert np.array_equal(ours(dict(img=bgr))['img'][..., ::-1], expected), seed
        changed += not np.array_equal(expected, image)
    assert changed > 30
    assert np.array_equal(bgr[..., ::-1], image)  # the given image is left alone


@pytest.mark.parametrize('size', [(120, 90), (64, 300), (300, 40), (30, 30)])
@pytest.mark.parametrize('branch', [0, 1])
def test_the_crop_is_timms_with_both_interpolations(
    recipe, timms_training, monkeypatch, branch, size
):
    choice = recipe.train_pipeline[1]
    assert len(choice.transforms) == 2 and 'prob' not in choice
    (crop,) = choice.transforms[branch]
    assert {i.value for i in timms_training[0].interpolation} == {
        c[0].interpolation for c in choice.transforms
    }
    ours = build(crop)
    theirs = type(timms_training[0])(224, interpolation=crop.interpolation)
    # mmpretrain draws from numpy and timm from random; here both from one source.
    monkeypatch.setattr(np.random, 'uniform', random.uniform)
    monkeypatch.setattr(np.random, 'randint', lambda a, b: random.randint(a, b - 1))
    image = scene(*size)
    for seed in range(8):
        random.seed(seed)
        expected = np.asarray(theirs(Image.fromarray(image)))
        random.seed(seed)
        result = ours(dict(img=image[..., ::-1].copy()))['img'][..., ::-1]
        assert np.array_equal(result, expected)


def test_erasing_is_timms_in_training_and_absent_in_evaluation(recipe):
    from mmpretrain.registry import MODELS

    import mmghost.recipes.preprocessing  # noqa: F401 - named in custom_imports

    preprocessor = MODELS.build(recipe.data_preprocessor)
    images = torch.randint(0, 256, (8, 3, 32, 48), dtype=torch.uint8)
    plain = preprocessor(dict(inputs=images))['inputs']
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    # timm's constants in RGB; float32 rounding.
    expected = (images.flip(1) / 255 - mean) / std
    torch.testing.assert_close(plain, expected, rtol=1e-5, atol=1e-5)
    theirs = RandomErasing(0.2, mode='pixel', max_count=1, device='cpu')
    erased = 0
    for seed in range(30):
        seed_all(seed)
        expected = theirs(plain.clone())
        seed_all(seed)
        result = preprocessor(dict(inputs=images), training=True)['inputs']
        assert torch.equal(result, expected)
        erased += int((result != plain).flatten(1).any(1).sum())
    assert 24 < erased < 72  # a fifth of 240


@pytest.fixture(scope='module')
def odd_files(tmp_path_factory) -> list[Path]:
    """Images as ImageNet has them: all shapes, gray, CMYK, rotated by EXIF, PNG."""
    folder = tmp_path_factory.mktemp('images')
    files = []

    def save(name: str, image: Image.Image, **options) -> None:
        files.append(folder / name)
        image.save(files[-1], **options)

    for height, width in [(375, 500), (500, 333), (90, 75), (400, 1201)]:
        save(f'{height}.jpg', Image.fromarray(scene(height, width)), quality=90)
    image = Image.fromarray(scene(300, 420))
    save('gray.jpg', image.convert('L'))
    save('cmyk.jpg', image.convert('CMYK'))
    save('png.jpg', image, format='PNG')
    rotated = Image.Exif()
    rotated[0x0112] = 6
    save('rotated.jpg', image, exif=rotated)
    return files


def test_files_are_read_as_timm_reads_them(recipe, odd_files):
    theirs = create_transform(
        (3, 224, 224), crop_pct=0.875, interpolation='bicubic', use_prefetcher=True
    )
    load = build(recipe.train_pipeline[0])
    evaluate = Compose([build(step) for step in recipe.test_pipeline])
    for file in odd_files:
        image = Image.open(file).convert('RGB')
        trained_on = load(dict(img_path=str(file)))['img'][..., ::-1]
        assert np.array_equal(trained_on, np.asarray(image)), file.name
        result = evaluate(dict(img_path=str(file)))['inputs'].flip(0)
        assert torch.equal(result, theirs(image)), file.name
