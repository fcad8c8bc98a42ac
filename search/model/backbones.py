"""The table of backbones: every row of keras.applications that makes sense for transfer. And those beside it.

A row says how its network is made, what its pictures must be mapped to and where its weights lie. Where it
can be cut is found from its graph (graph.py) and never written here. This module loads neither Keras nor
TensorFlow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from search.config.backbone_names import TIMM, TIMM_TAGS, is_own, wrong_backbone
from search.errors import SpaceError

Preprocessing = Literal["tf", "torch", "caffe", "inside"]

# Where keras.applications 3.15 keeps its files; the older EfficientNet lies one folder higher.
_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"
_EFFICIENTNET_ADDRESS = "https://storage.googleapis.com/keras-applications"


@dataclass(frozen=True)
class WeightsFile:
    """One official file of ImageNet weights without the top.

    `name` is what Keras calls it in its cache, `address` where it comes from, `file_hash` its MD5 or SHA-256
    (None where Keras publishes none) and `image_size_px` the size of the pictures it was trained on.
    """

    name: str
    address: str
    file_hash: str | None
    image_size_px: int

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the file goes by: Keras' own and that of its address, where the two differ."""
        return tuple(dict.fromkeys((self.name, self.address.rpartition("/")[2])))


@dataclass(frozen=True)
class Backbone:
    """A network of keras.applications: `keras.applications.<family>.<constructor>`.

    `preprocessing` is how a picture in [0, 255] is mapped: `tf` to [-1, 1], `torch` to ImageNet's mean 0 and
    deviation 1, `caffe` to BGR less ImageNet's mean, `inside` by the network itself. `files` are the weights
    for each picture size, `smallest_px` is the smallest legal input, `default_px` the size of the paper,
    `alpha` the width multiplier where the constructor takes one.
    """

    name: str
    family: str
    constructor: str
    preprocessing: Preprocessing
    smallest_px: int
    default_px: int
    files: tuple[WeightsFile, ...]
    alpha: float | None = None


@dataclass(frozen=True)
class HubBackbone:
    """A backbone that KerasHub makes: a preset of its own, `hub/PRESET`, or one of timm's, `timm/NAME`."""

    name: str
    smallest_px: int = 32

    @property
    def is_timm(self) -> bool:
        """Whether its files are timm's."""
        return self.name.startswith(TIMM)

    @property
    def architecture(self) -> str:
        """The name without its source, and without timm's tag."""
        return self.name.partition("/")[2].partition(".")[0]

    @property
    def tag(self) -> str:
        """Which checkpoint of this architecture is meant: the one named, or else timm's default."""
        return self.name.partition(".")[2] or TIMM_TAGS[self.architecture]

    @property
    def folder(self) -> str:
        """Where its files lie in a folder of weights, such as `timm/resnet18.a1_in1k`."""
        return f"{TIMM}{self.architecture}.{self.tag}" if self.is_timm else self.name


@dataclass(frozen=True)
class OwnBackbone:
    """A backbone of the user's own, `my_module:build`: a function of the pictures' size."""

    name: str
    smallest_px: int = 1


AnyBackbone = Backbone | HubBackbone | OwnBackbone


def backbone(name: str) -> AnyBackbone:
    """Look up a row of the table, or take the name apart.

    Raises:
        SpaceError: There is no such backbone; the nearest names are suggested.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if wrong := wrong_backbone(name, BACKBONES):
        raise SpaceError(f"backbone: {wrong}.")
    return OwnBackbone(name) if is_own(name) else HubBackbone(name)


def check_image_size(row: AnyBackbone, image_size_px: int) -> None:
    """Check that a backbone takes pictures of this size.

    Raises:
        SpaceError: The pictures are smaller than the network allows.
    """
    if image_size_px < row.smallest_px:
        raise SpaceError(
            f"image_size: {row.name} takes pictures of at least {row.smallest_px} px, got {image_size_px}; "
            f"set image_size to {row.smallest_px} or more, or leave {row.name} out of backbone."
        )


def _mobilenet(suffix: str, alpha: float, in_file: str) -> Backbone:
    files = tuple(
        _file("mobilenet", f"mobilenet_{in_file}_{px}_tf_no_top.h5", None, px) for px in (128, 160, 192, 224)
    )
    return Backbone(f"mobilenet{suffix}", "mobilenet", "MobileNet", "tf", 32, 224, files, alpha)


def _mobilenet_v2(suffix: str, alpha: float) -> Backbone:
    # Networks wider than 1.0 were published at 224 px only.
    sizes = (96, 128, 160, 192, 224) if alpha <= 1 else (224,)
    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}"
    files = tuple(_file("mobilenet_v2", f"{stem}_{px}_no_top.h5", None, px) for px in sizes)
    return Backbone(f"mobilenet_v2{suffix}", "mobilenet_v2", "MobileNetV2", "tf", 32, 224, files, alpha)


def _mobilenet_v3(size: str, suffix: str, alpha: float, file_hash: str) -> Backbone:
    file = _file("mobilenet_v3", f"weights_mobilenet_v3_{size}_224_{alpha}_float_no_top_v2.h5", file_hash)
    name, constructor = f"mobilenet_v3_{size}{suffix}", f"MobileNetV3{size.capitalize()}"
    return Backbone(name, "mobilenet_v3", constructor, "inside", 32, 224, (file,), alpha)


def _efficientnet(number: int, px: int, file_hash: str) -> Backbone:
    name = f"efficientnetb{number}_notop.h5"
    file = WeightsFile(name, f"{_EFFICIENTNET_ADDRESS}/{name}", file_hash, px)
    constructor = f"EfficientNetB{number}"
    return Backbone(f"efficientnet_b{number}", "efficientnet", constructor, "inside", 32, px, (file,))


def _efficientnet_v2(size: str, px: int, file_hash: str) -> Backbone:
    file = _file("efficientnet_v2", f"efficientnetv2-{size}_notop.h5", file_hash, px)
    constructor = f"EfficientNetV2{size.upper()}"
    return Backbone(f"efficientnet_v2_{size}", "efficientnet_v2", constructor, "inside", 32, px, (file,))


def _resnet(depth: int, file_hash: str) -> Backbone:
    file = _file("resnet", f"resnet{depth}_weights_tf_dim_ordering_tf_kernels_notop.h5", file_hash)
    return Backbone(f"resnet{depth}", "resnet", f"ResNet{depth}", "caffe", 32, 224, (file,))


def _resnet_v2(depth: int, file_hash: str) -> Backbone:
    file = _file("resnet", f"resnet{depth}v2_weights_tf_dim_ordering_tf_kernels_notop.h5", file_hash)
    return Backbone(f"resnet{depth}_v2", "resnet_v2", f"ResNet{depth}V2", "tf", 32, 224, (file,))


def _convnext(size: str, file_hash: str) -> Backbone:
    file = _file("convnext", f"convnext_{size}_notop.h5", file_hash)
    constructor = "ConvNeXtXLarge" if size == "xlarge" else f"ConvNeXt{size.capitalize()}"
    return Backbone(f"convnext_{size}", "convnext", constructor, "inside", 32, 224, (file,))


def _plain(
    name: str,
    constructor: str,
    how: Preprocessing,
    file_hash: str,
    smallest_px: int = 32,
    default_px: int = 224,
) -> Backbone:
    family = "densenet" if name.startswith("densenet") else name
    file = _file(family, f"{name}_weights_tf_dim_ordering_tf_kernels_notop.h5", file_hash, default_px)
    return Backbone(name, family, constructor, how, smallest_px, default_px, (file,))


def _nasnet(size: str, px: int, file_hash: str) -> Backbone:
    address = f"{_ADDRESS}/nasnet/NASNet-{size}-no-top.h5"
    file = WeightsFile(f"nasnet_{size}_no_top.h5", address, file_hash, px)
    return Backbone(f"nasnet_{size}", "nasnet", f"NASNet{size.capitalize()}", "tf", 32, px, (file,))


def _file(folder: str, name: str, file_hash: str | None, image_size_px: int = 224) -> WeightsFile:
    return WeightsFile(name, f"{_ADDRESS}/{folder}/{name}", file_hash, image_size_px)


def _table(rows: Iterable[Backbone]) -> Mapping[str, Backbone]:
    return MappingProxyType({row.name: row for row in rows})


# The hashes are those that keras.applications 3.15.1 checks its downloads against.
BACKBONES: Mapping[str, Backbone] = _table(
    [
        _mobilenet("_025", 0.25, "2_5"),
        _mobilenet("_050", 0.5, "5_0"),
        _mobilenet("_075", 0.75, "7_5"),
        _mobilenet("", 1.0, "1_0"),
        _mobilenet_v2("_035", 0.35),
        _mobilenet_v2("_050", 0.5),
        _mobilenet_v2("_075", 0.75),
        _mobilenet_v2("", 1.0),
        _mobilenet_v2("_130", 1.3),
        _mobilenet_v2("_140", 1.4),
        _mobilenet_v3("small", "_075", 0.75, "ebdb5cc8e0b497cd13a7c275d475c819"),
        _mobilenet_v3("small", "", 1.0, "d3e8ec802a04aa4fc771ee12a9a9b836"),
        _mobilenet_v3("large", "_075", 0.75, "40af19a13ebea4e2ee0c676887f69a2e"),
        _mobilenet_v3("large", "", 1.0, "07fb09a5933dd0c8eaafa16978110389"),
        _efficientnet(0, 224, "50bc09e76180e00e4465e1a485ddc09d"),
        _efficientnet(1, 240, "74c4e6b3e1f6a1eea24c589628592432"),
        _efficientnet(2, 260, "111f8e2ac8aa800a7a99e3239f7bfb39"),
        _efficientnet(3, 300, "af6d107764bb5b1abb91932881670226"),
        _efficientnet(4, 380, "ebc24e6d6c33eaebbd558eafbeedf1ba"),
        _efficientnet(5, 456, "38879255a25d3c92d5e44e04ae6cec6f"),
        _efficientnet(6, 528, "9ecce42647a20130c1f39a5d4cb75743"),
        _efficientnet(7, 600, "cbcfe4450ddf6f3ad90b1b398090fe4a"),
        _efficientnet_v2("b0", 224, "893217f2bb855e2983157299931e43ff"),
        _efficientnet_v2("b1", 240, "0e80663031ca32d657f9caa404b6ec37"),
        _efficientnet_v2("b2", 260, "1dfe2e7a5d45b6632553a8961ea609eb"),
        _efficientnet_v2("b3", 300, "f6abf7b5849ac99a89b50dd3fd532856"),
        _efficientnet_v2("s", 384, "af0682fb74e8c54910f2d4393339c070"),
        _efficientnet_v2("m", 480, "1b8dc055df72dde80d614482840fe342"),
        _efficientnet_v2("l", 480, "b0b66b5c863aef5b46e8608fe1711615"),
        _resnet(50, "4d473c1dd8becc155b73f8504c6f6626"),
        _resnet(101, "88cf7a10940856eca736dc7b7e228a21"),
        _resnet(152, "ee4c566cf9a93f14d82f913c2dc6dd0c"),
        _resnet_v2(50, "fac2f116257151a9d068a22e544a4917"),
        _resnet_v2(101, "c0ed64b8031c3730f411d2eb4eea35b5"),
        _resnet_v2(152, "ed17cf2e0169df9d443503ef94b23b33"),
        _plain("densenet121", "DenseNet121", "torch", "30ee3e1110167f948a6b9946edeeb738"),
        _plain("densenet169", "DenseNet169", "torch", "b8c4d4c20dd625c148057b9ff1c1176b"),
        _plain("densenet201", "DenseNet201", "torch", "c13680b51ded0fb44dff2d8f86ac8bb1"),
        _plain("inception_v3", "InceptionV3", "tf", "bcbd6486424b2319ff4ef7d526e38f63", 75, 299),
        _plain("inception_resnet_v2", "InceptionResNetV2", "tf", "d19885ff4a710c122648d3b5c3b684e4", 75, 299),
        _plain("xception", "Xception", "tf", "b0042744bf5b25fce3cb969f33bebb97", 71, 299),
        _plain("vgg16", "VGG16", "caffe", "6d6bbae143d832006294945121d1f1fc"),
        _plain("vgg19", "VGG19", "caffe", "253f8cb515780f3b799900260a226db6"),
        _nasnet("mobile", 224, "1ed92395b5b598bdda52abe5c0dbfd63"),
        _nasnet("large", 331, "d81d89dc07e6e56530c4e77faddd61b5"),
        _convnext("tiny", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
        _convnext("small", "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"),
        _convnext("base", "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"),
        _convnext("large", "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"),
        _convnext("xlarge", "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"),
    ]
)
