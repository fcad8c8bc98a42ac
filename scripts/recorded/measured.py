"""What a kind of configuration costs, as it stands in the recorded table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """Costs of one configuration's kind, in seconds.

    Attributes:
        backbone: The backbone.
        unfreeze: The depth of stage 2.
        augment: The strength of the augmentation.
        compile_backbone: Building the network, compiling its forward passes and the head's program; once a
            backbone.
        compile_tune: Compiling stage 2; once a depth.
        features_train: The backbone's pass over the training pictures, one draw.
        features_validation: The same over the validation pictures.
        head: An epoch of stage 1 on features that are there, validation included.
        cut_train: The pass of what stage 2 does not train over the training pictures, one draw; 0 where
            nothing is stored there, and each epoch does it.
        cut_validation: The same over the validation pictures.
        tune: An epoch of stage 2 on what is there, validation included.
    """

    backbone: str
    unfreeze: float | str
    augment: float
    compile_backbone: float
    compile_tune: float
    features_train: float
    features_validation: float
    head: float
    cut_train: float
    cut_validation: float
    tune: float
