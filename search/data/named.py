"""The table of named data sets: where each can be downloaded, and what is known of it.

Addresses, sizes and digests are those of TensorFlow Datasets and of TensorFlow's and Keras' tutorials, but
for the digest of `cats_dogs_full`, which other people's download code names. Where a digest is not known, the
size, the structure and the checksums inside a zip file are checked alone.
"""

from collections.abc import Mapping
from types import MappingProxyType

from search.data.download import Archive, Totals

_MICROSOFT = "https://www.microsoft.com/en-us/download/details.aspx?id=54765"

NAMED: Mapping[str, Archive] = MappingProxyType(
    {
        # the part of `cats_dogs_full` that TensorFlow's transfer-learning tutorial takes
        "cats_dogs": Archive(
            address="https://storage.googleapis.com/mledu-datasets/cats_and_dogs_filtered.zip",
            size_bytes=68_606_236,
            top="cats_and_dogs_filtered",
            pictures={"train/cats": 1000, "train/dogs": 1000, "validation/cats": 500, "validation/dogs": 500},
            licence=f"not stated, see {_MICROSOFT}",
            has_sample=True,
        ),
        # Some of its files are empty or no pictures; they are set aside when they are read.
        "cats_dogs_full": Archive(
            address="https://download.microsoft.com/download/3/E/1/"
            "3E1C3F21-ECDB-4869-8368-6DEBA77B919F/kagglecatsanddogs_5340.zip",
            size_bytes=824_887_076,
            top="PetImages",
            pictures={"Cat": 12_500, "Dog": 12_500},
            sha256="b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9",
            licence=f"not stated, see {_MICROSOFT}",
        ),
        "oxford_pets": Archive(
            address="https://thor.robots.ox.ac.uk/~vgg/data/pets/images.tar.gz",
            size_bytes=791_918_971,
            top="images",
            pictures=Totals(classes=37, pictures=7_390),
            sha256="67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            packing="tgz",
            labelled_by="name",
            licence="CC BY-SA 4.0, see https://www.robots.ox.ac.uk/~vgg/data/pets/",
        ),
        "flowers": Archive(
            address="https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
            size_bytes=228_813_984,
            top="flower_photos",
            pictures={"daisy": 633, "dandelion": 898, "roses": 641, "sunflowers": 699, "tulips": 799},
            sha256="4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
            packing="tgz",
            licence="CC BY 2.0, see LICENSE.txt in it",
        ),
    }
)
