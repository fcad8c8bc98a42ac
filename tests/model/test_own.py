"""Backbones of the user's own: `my_module:build`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from search.errors import SpaceError, WeightsError
from search.model.backbones import backbone
from search.model.blocks import blocks, unfrozen_layers
from search.model.build import build_backbone, preprocess
from search.model.graph import cuts, split
from search.model.weights import find_weights, weights_at_hand

MODULE = '''
import keras
from keras import layers


@keras.saving.register_keras_serializable(package="mine")
class Residual(layers.Layer):
    """A block as people write it: one activation for both places, dropout, a sum."""

    def __init__(self, n, **settings):
        super().__init__(**settings)
        self.first = layers.Conv2D(n, 3, padding="same", kernel_initializer=seeded(1))
        self.second = layers.Conv2D(n, 3, padding="same", kernel_initializer=seeded(2))
        self.normal = layers.BatchNormalization()
        self.active = layers.ReLU()
        self.drop = layers.Dropout(0.5)

    def call(self, x, training=False):
        y = self.active(self.normal(self.first(x), training=training))
        return self.active(x + self.drop(self.second(y), training=training))


@keras.saving.register_keras_serializable(package="mine")
class Scaled(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(), initializer="ones")

    def call(self, x):
        return x * self.factor


def seeded(seed):
    return keras.initializers.HeNormal(seed)


def maps(x):
    x = layers.Conv2D(8, 3, strides=2, padding="same", kernel_initializer=seeded(0), name="stem")(x)
    x = Residual(8, name="one")(x)
    return Residual(8, name="two")(x)


def build(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    model = keras.Model(pictures, maps(layers.Rescaling(1 / 255)(pictures)))
    model.trainable = False
    return model


def of_any_size(image_size_px):
    pictures = keras.Input((None, None, 3))
    return keras.Model(pictures, maps(pictures))


of_any_size.preprocessing = "torch"


def stack(image_size_px):
    shape = (image_size_px, image_size_px, 3)
    return keras.Sequential([keras.Input(shape), layers.Conv2D(4, 3, kernel_initializer=seeded(0))])


def ready_made(image_size_px):
    shape = (image_size_px, image_size_px, 3)
    with_seeds = keras.applications.MobileNet(include_top=False, weights=None, input_shape=shape, alpha=0.25)
    for number, weight in enumerate(with_seeds.weights):
        weight.assign(keras.random.normal(weight.shape, seed=number) * 0.1 + 0.5)
    return with_seeds


def with_top(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    return keras.Model(pictures, layers.Dense(2)(layers.GlobalAveragePooling2D()(maps(pictures))))


def two_outputs(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    return keras.Model(pictures, [maps(pictures), pictures])


def grey(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 1))
    return keras.Model(pictures, layers.Conv2D(4, 3, kernel_initializer=seeded(0))(pictures))


def fixed_size(image_size_px):
    return build(40)


class Subclass(keras.Model):
    def call(self, x):
        return x


def subclass(image_size_px):
    return Subclass()


def nothing(image_size_px):
    pass


def fails(image_size_px):
    raise RuntimeError("out of\\nideas")


def random_each_time(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    return keras.Model(pictures, layers.Conv2D(4, 3)(pictures))


def augments(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    return keras.Model(pictures, maps(layers.RandomFlip()(pictures)))


def own_weights(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    return keras.Model(pictures, Scaled()(maps(pictures)))


def own_activation(image_size_px):
    def double(x):
        return 2 * x

    pictures = keras.Input((image_size_px, image_size_px, 3))
    return keras.Model(pictures, layers.Activation(double)(maps(pictures)))


def nested(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    scaled = layers.Lambda(lambda x: x / 127.5 - 1)(pictures)
    return keras.Model(pictures, ready_made(image_size_px)(scaled, training=False))


def shared(image_size_px):
    pictures = keras.Input((image_size_px, image_size_px, 3))
    same = layers.Conv2D(3, 3, padding="same", kernel_initializer=seeded(0))
    return keras.Model(pictures, same(same(pictures)))


def wrongly_mapped(image_size_px):
    return build(image_size_px)


wrongly_mapped.preprocessing = "imagenet"
'''


@pytest.fixture(scope="module", autouse=True)
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`own_for_tests`, a module where Python looks for modules."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "own_for_tests.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    del sys.modules["own_for_tests"]


def built(function: str, px: int = 32, weights: Path | None = None) -> keras.Model:
    return build_backbone(backbone(f"own_for_tests:{function}"), px, weights, seed=0)


def test_a_network_of_the_users_is_treated_as_all_others() -> None:
    model = built("build")
    names = [layer.name for layer in model.layers]
    assert model.output_shape == (None, 16, 16, 8)
    assert {type(operation).__module__.partition(".")[0] for operation in model.operations} == {"keras"}
    for layer in model.layers:
        assert layer.trainable == (not isinstance(layer, keras.layers.BatchNormalization)), layer.name
        assert getattr(layer, "rate", 0) == 0
    # frozen by the function, but what stage 2 trains is the space's to say
    assert [layer.name for layer in unfrozen_layers(model, "re:^two_")] == [
        name for name in names if name.startswith("two_conv")
    ]
    assert len(blocks(model)) == 3
    assert len(cuts(model)) >= 3
    assert "one_re_lu_3" in names  # numbered by its place, not by Keras


def test_it_gives_what_the_users_own_model_gives(tmp_path: Path) -> None:
    import own_for_tests

    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    theirs, model = own_for_tests.build(32), built("build")
    expected = np.asarray(theirs(pictures))
    assert np.ptp(expected) > 0.1
    np.testing.assert_array_equal(np.asarray(model(pictures)), expected)
    for cut in cuts(model):
        prefix, tail = split(model, cut)
        np.testing.assert_array_equal(np.asarray(tail(prefix(pictures))), expected, err_msg=cut.name)
    np.testing.assert_array_equal(np.asarray(model(pictures, training=True)), expected)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(again(pictures)), expected)


@pytest.mark.parametrize(("function", "shape"), [("of_any_size", (16, 16, 8)), ("stack", (30, 30, 4))])
def test_other_functional_models_will_do(function: str, shape: tuple[int, ...]) -> None:
    assert built(function).output_shape == (None, *shape)


def test_a_network_of_keras_applications_keeps_its_weights() -> None:
    import own_for_tests

    theirs, model = own_for_tests.ready_made(32), built("ready_made")
    for a, b in zip(theirs.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_ready_made_network_within_a_model_is_cut_like_one_by_itself() -> None:
    import own_for_tests

    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    theirs, model = own_for_tests.nested(32), built("nested")
    np.testing.assert_array_equal(np.asarray(model(pictures)), np.asarray(theirs(pictures)))
    assert len(blocks(model)) == 14
    assert {layer.name for layer in unfrozen_layers(model, "re:^conv_pw_13/")} == {"conv_pw_13"}
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


def test_weights_come_from_a_file_where_one_is_named(tmp_path: Path) -> None:
    import own_for_tests

    source = own_for_tests.build(32)
    for weight in source.weights:
        weight.assign(weight + 1.0)
    source.save_weights(tmp_path / "mine.weights.h5")
    row = backbone("own_for_tests:build")
    file = find_weights(row, 32, str(tmp_path / "mine.weights.h5"), None)
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    expected = np.asarray(source(pictures))
    assert not np.array_equal(expected, np.asarray(built("build")(pictures)))
    np.testing.assert_array_equal(np.asarray(built("build", weights=file)(pictures)), expected)
    with pytest.raises(WeightsError, match=r"there is no file 'nowhere\.h5'"):
        find_weights(row, 32, "nowhere.h5", None)


def test_it_brings_its_weights() -> None:
    row = backbone("own_for_tests:build")
    assert weights_at_hand(row, 32, "imagenet", None)
    assert find_weights(row, 32, "imagenet", None) is None
    with pytest.raises(WeightsError, match="none is not possible for own_for_tests:build, which brings its"):
        weights_at_hand(row, 32, "none", None)


def test_pictures_are_mapped_as_the_functions_attribute_says() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    inside = keras.Model(inputs, preprocess(backbone("own_for_tests:build"), inputs))
    np.testing.assert_array_equal(np.asarray(inside(pictures)), pictures.astype(np.float32))
    mapped = keras.Model(inputs, preprocess(backbone("own_for_tests:of_any_size"), inputs))
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(np.asarray(mapped(pictures)), (pictures / 255 - mean) / deviation, atol=1e-5)
    with pytest.raises(SpaceError, match="must be one of tf, torch, caffe, inside, got 'imagenet'"):
        preprocess(backbone("own_for_tests:wrongly_mapped"), inputs)


@pytest.mark.parametrize(
    ("function", "what"),
    [
        ("with_top", r"got outputs \(None, 2\)"),
        ("two_outputs", r"got outputs \(None, 16, 16, 8\), \(None, 32, 32, 3\)"),
        ("grey", r"got inputs \(None, 32, 32, 1\)"),
        ("fixed_size", r"got inputs \(None, 40, 40, 3\)"),
        ("subclass", "got Subclass, a model whose layers are not known"),
        ("nothing", "got NoneType, which is no Keras model"),
        (
            "fails",
            r"own_for_tests:fails\(32\) fails with RuntimeError \(out of ideas\) in .*py, line \d+",
        ),
        ("random_each_time", "gives other weights each time it is called"),
        ("augments", "a layer random_flip.* of RandomFlip, which draws random numbers"),
        ("own_weights", "holds Scaled, without which Keras could not load"),
        ("own_activation", "holds double, without which"),
        ("shared", "uses its layer .*, which has weights, more than once"),
        ("missing", "module own_for_tests has no 'missing'"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused_in_one_sentence(function: str, what: str) -> None:
    with pytest.raises(SpaceError, match=what) as told:
        built(function)
    assert str(told.value).startswith("backbone: ")
    assert "\n" not in str(told.value)
