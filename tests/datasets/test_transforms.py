"""Every step between file and network gives timm's pixels."""

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
from timm.data.random_erasing import RandomErasing as TimmRandomErasing

from mmghost.datasets import TimmRandAugment
from mmghost.datasets.transforms import RandomErasing
from mmghost.datasets.transforms.rand_augment import OPERATIONS


def scene(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with slopes, edges and noise, RGB."""
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
    """The transforms that timm makes of the authors' flags and train.py's defaults."""
    made = create_transform(
        (3, 224, 224),
        is_training=True,
        use_prefetcher=True,
        color_jitter=0.4,
        auto_augment='rand-m9-mstd0.5',
        interpolation='random',
        re_prob=0.2,
        re_mode='pixel',
    )
    return made.transforms


def build(cfg):
    import mmpretrain.datasets  # noqa: F401 - registers its transforms

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return TRANSFORMS.build(cfg)


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def test_timm_has_the_same_steps_in_the_same_order(recipe, timms_training):
    ours = [step.type.split('.')[-1] for step in recipe.train_pipeline]
    assert ours == [
        'LoadImageFromFile',
        'RandomChoice',  # of the crop's interpolation
        'RandomFlip',
        'TimmRandAugment',
        'PackInputs',
    ]
    # No colour jitter: timm leaves it out where there is RandAugment.
    assert [type(step).__name__ for step in timms_training] == [
        'RandomResizedCropAndInterpolation',
        'RandomHorizontalFlip',
        'RandAugment',
        'MaybePILToTensor',
    ]
    assert timms_training[1].p == recipe.train_pipeline[2].prob == 0.5


def test_randaugment_draws_and_paints_as_timm_does(recipe, timms_training):
    ours, theirs = build(recipe.train_pipeline[3]), timms_training[2]
    assert len(theirs.ops) == len(OPERATIONS)
    picture, changed = scene(48, 40), 0
    for seed in range(200):
        seed_all(seed)
        reference = np.asarray(theirs(Image.fromarray(picture)))
        after = random.random(), np.random.rand()
        seed_all(seed)
        result = ours(dict(img=picture[..., ::-1].copy()))['img'][..., ::-1]
        assert np.array_equal(result, reference), seed
        assert (random.random(), np.random.rand()) == after  # as many draws
        changed += not np.array_equal(reference, picture)
    assert changed > 100


@pytest.mark.parametrize('index', range(len(OPERATIONS)))
@pytest.mark.parametrize('magnitude', [0, 3, 9, 10])
def test_every_operation_is_timms_at_every_strength(timms_training, index, magnitude):
    operation = timms_training[2].ops[index]
    if operation.name == 'Posterize' and magnitude == 0:
        pytest.skip('timm asks Pillow for 0 bits there, an error')
    operation = type(operation)(
        operation.name, prob=1.0, magnitude=magnitude, hparams=operation.hparams
    )
    operation.magnitude_std = 0
    picture = scene(61, 47, seed=index)
    for seed in range(6):
        seed_all(seed)
        reference = operation(Image.fromarray(picture))
        seed_all(seed)
        result = OPERATIONS[index](
            Image.fromarray(picture), magnitude / 10, (124, 116, 104)
        )
        assert np.array_equal(np.asarray(result), np.asarray(reference))


def test_randaugment_leaves_the_given_picture_as_it_was():
    picture = scene(40, 40)
    kept = picture.copy()
    augment = TimmRandAugment(prob=1.0)
    for seed in range(20):
        seed_all(seed)
        augment(dict(img=picture))
    assert np.array_equal(picture, kept)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(magnitude=11), 'magnitude=11'),
        (dict(magnitude_std=-1), 'magnitude_std=-1'),
        (dict(prob=2), 'prob=2'),
    ],
)
def test_randaugment_names_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        TimmRandAugment(**arguments)


@pytest.mark.parametrize('branch', [0, 1])
@pytest.mark.parametrize('size', [(120, 90), (64, 300), (300, 40), (30, 30)])
def test_the_crop_is_timms_with_both_interpolations(
    recipe, timms_training, monkeypatch, branch, size
):
    choice = recipe.train_pipeline[1]
    assert len(choice.transforms) == 2 and 'prob' not in choice
    (crop,) = choice.transforms[branch]
    ours = build(crop)
    theirs = timms_training[0]
    interpolations = theirs.interpolation
    assert {i.value for i in interpolations} == {'bilinear', 'bicubic'}
    (mine,) = [i for i in interpolations if i.value == crop.interpolation]
    assert len({c[0].interpolation for c in choice.transforms}) == 2
    # mmpretrain draws from numpy, timm from random; here both from one source.
    monkeypatch.setattr(np.random, 'uniform', random.uniform)
    monkeypatch.setattr(np.random, 'randint', lambda a, b: random.randint(a, b - 1))
    picture = scene(*size)
    for seed in range(25):
        random.seed(seed)
        top, left, height, width = theirs.get_params(
            Image.fromarray(picture), theirs.scale, theirs.ratio
        )
        box = (left, top, left + width, top + height)
        pil = dict(bilinear=Image.BILINEAR, bicubic=Image.BICUBIC)[mine.value]
        reference = Image.fromarray(picture).crop(box).resize((224, 224), pil)
        random.seed(seed)
        result = ours(dict(img=picture[..., ::-1].copy()))['img'][..., ::-1]
        assert np.array_equal(result, np.asarray(reference))
        theirs_now = type(theirs)(224, interpolation=mine.value)
        random.seed(seed)
        assert np.array_equal(result, np.asarray(theirs_now(Image.fromarray(picture))))


def test_random_erasing_draws_and_fills_as_timm_does(recipe):
    settings = recipe.data_preprocessor.erasing
    ours = RandomErasing(**settings)
    theirs = TimmRandomErasing(0.2, mode='pixel', max_count=1, device='cpu')
    erased = 0
    for seed in range(30):
        batch = torch.full((8, 3, 32, 48), 9.0)
        seed_all(seed)
        reference = theirs(batch.clone())
        seed_all(seed)
        result = ours(batch.clone())
        assert torch.equal(result, reference)
        erased += int((result != batch).flatten(1).any(1).sum())
    assert 24 < erased < 72  # a fifth of 240, give or take


@pytest.mark.parametrize('mode', ['const', 'rand'])
def test_the_other_fillings_are_timms_too(mode):
    batch = torch.full((16, 3, 32, 32), 9.0)
    seed_all(3)
    reference = TimmRandomErasing(1.0, mode=mode, device='cpu')(batch.clone())
    seed_all(3)
    assert torch.equal(RandomErasing(1.0, mode)(batch.clone()), reference)


def test_erasing_happens_in_training_alone_and_behind_the_normalisation(recipe):
    from mmpretrain.registry import MODELS

    import mmghost.datasets.preprocessing  # noqa: F401 - named in custom_imports

    cfg = dict(recipe.data_preprocessor)
    cfg['erasing'] = dict(probability=1.0, mode='const')
    preprocessor = MODELS.build(cfg)
    pictures = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    plain = preprocessor(dict(inputs=pictures))['inputs']
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    reference = (pictures.flip(1) / 255 - mean) / std  # timm's constants, RGB
    torch.testing.assert_close(plain, reference, rtol=1e-5, atol=1e-5)
    seed_all(0)
    trained = preprocessor(dict(inputs=pictures), training=True)['inputs']
    holes = (trained == 0).all(1).flatten(1).sum(1)
    assert (holes > 0.02 * 32 * 32 * 0.8).all()  # 2 % at least, up to rounding
    kept = (trained != 0).all(1, keepdim=True).expand_as(trained)
    assert torch.equal(trained[kept], plain[kept])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(probability=-0.1), 'probability=-0.1'),
        (dict(mode='noise'), "mode='noise'"),
    ],
)
def test_random_erasing_names_arguments_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        RandomErasing(**arguments)


@pytest.fixture(scope='module')
def odd_files(tmp_path_factory) -> list[Path]:
    """Pictures as ImageNet has them: of all shapes, grey, CMYK, turned, PNG."""
    folder = tmp_path_factory.mktemp('pictures')
    files = []

    def save(name: str, image: Image.Image, **options) -> None:
        files.append(folder / name)
        image.save(files[-1], **options)

    for height, width in [(375, 500), (500, 333), (256, 256), (90, 75), (400, 1201)]:
        save(f'{height}.jpg', Image.fromarray(scene(height, width)), quality=90)
    picture = Image.fromarray(scene(300, 420))
    save('grey.jpg', picture.convert('L'))
    save('cmyk.jpg', picture.convert('CMYK'))
    save('png.jpg', picture, format='PNG')
    turned = Image.Exif()
    turned[0x0112] = 6
    save('turned.jpg', picture, exif=turned)
    return files


def test_evaluation_sees_timms_pixels_to_the_last_one(recipe, odd_files):
    import mmpretrain.datasets  # noqa: F401 - registers its transforms

    theirs = create_transform(
        (3, 224, 224), crop_pct=0.875, interpolation='bicubic', use_prefetcher=True
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        ours = Compose([TRANSFORMS.build(step) for step in recipe.test_pipeline])
    for file in odd_files:
        reference = theirs(Image.open(file).convert('RGB'))
        result = ours(dict(img_path=str(file)))['inputs'].flip(0)
        assert torch.equal(result, reference), file.name


def test_training_loads_the_pixels_that_pillow_loads(recipe, odd_files):
    load = build(recipe.train_pipeline[0])
    for file in odd_files:
        result = load(dict(img_path=str(file)))['img'][..., ::-1]
        assert np.array_equal(result, np.asarray(Image.open(file).convert('RGB')))
